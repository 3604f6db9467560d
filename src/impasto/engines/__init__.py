"""Engines: what computes a trained network. All give what eager float32 gives, as far as their precision goes."""

from impasto.engines.choice import Auto, Candidate, Engine
from impasto.engines.eager import compiled, eager
from impasto.engines.export import export_network, fingerprint, read_card, write_onnx, write_torch_export
from impasto.engines.form import Form, Run, form_of
from impasto.engines.onnx_runtime import onnxruntime
from impasto.engines.open_vino import openvino

__all__ = [
    "Auto",
    "Candidate",
    "Engine",
    "Form",
    "Run",
    "compiled",
    "eager",
    "export_network",
    "fingerprint",
    "form_of",
    "onnxruntime",
    "openvino",
    "read_card",
    "write_onnx",
    "write_torch_export",
]
