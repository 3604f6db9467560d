"""Engines: what computes a trained network. All give what eager float32 gives, as far as their precision goes."""

from impasto.engines.choice import Engine, auto
from impasto.engines.eager import compiled, eager
from impasto.engines.export import export_network, read_card
from impasto.engines.form import Form, Run, form_of
from impasto.engines.formats import FORMATS, Format, format_of
from impasto.engines.onnx_runtimes import onnxruntime, openvino

ENGINES: dict[str, Engine] = {"eager": eager, "compiled": compiled, "onnxruntime": onnxruntime, "openvino": openvino}

__all__ = [
    "ENGINES",
    "FORMATS",
    "Engine",
    "Form",
    "Format",
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
