"""Engines: what computes a trained network. All give what eager float32 gives, as far as their precision goes."""

from impasto.engines.eager import compiled, eager
from impasto.engines.form import Form, Run, form_of
from impasto.engines.onnx import export_onnx, exported
from impasto.engines.onnxruntime import onnxruntime
from impasto.engines.openvino import openvino

__all__ = ["Form", "Run", "compiled", "eager", "export_onnx", "exported", "form_of", "onnxruntime", "openvino"]
