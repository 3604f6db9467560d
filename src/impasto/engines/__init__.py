"""Engines: what computes a trained network. All give what eager float32 gives, as far as their precision goes."""

from impasto.engines.engines import ENGINES, auto, compiled, eager, onnxruntime, openvino
from impasto.engines.export import export_network, read_card
from impasto.engines.formats import FORMATS, Run, form_of, format_of

__all__ = [
    "ENGINES",
    "FORMATS",
    "Run",
    "auto",
    "compiled",
    "eager",
    "export_network",
    "form_of",
    "format_of",
    "onnxruntime",
    "openvino",
    "read_card",
]
