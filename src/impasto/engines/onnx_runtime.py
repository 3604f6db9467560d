"""ONNX Runtime: needs neither PyTorch nor a compiler where a network is used."""

import torch

from impasto.engines.export import onnx_file
from impasto.engines.form import Run, as_called
from impasto.engines.formats import read_onnx
from impasto.networks import Trained


def onnxruntime(trained: Trained, *, precision: torch.dtype | None, device: str) -> Run:
    """Compute a network with ONNX Runtime on the CPU.

    Args:
        trained: the network.
        precision: torch.float32 or None; its CPU kernels know no other for convolutions.
        device: "cpu".

    Returns:
        A function with the network's own arguments and results.

    Raises:
        ValueError: another precision or device, a file that cannot be read, or, when it is called, a refused size.
        ImportError: it is not installed.
    """
    import onnxruntime  # noqa: F401 (before a file is made for it)

    refuse_gpu("onnxruntime", device)
    if precision not in (None, torch.float32):
        raise ValueError("engine=onnxruntime computes in float32 only; expected precision=fp32 or precision=auto")
    return as_called(trained.network, read_onnx(onnx_file(trained)))


def refuse_gpu(engine: str, device: str) -> None:
    """Refuse a device that the engine does not compute on.

    Raises:
        ValueError: another device than the CPU.
    """
    if device != "cpu":
        raise ValueError(f"engine={engine} runs on the CPU; expected device=cpu, or engine=compiled for {device}")
