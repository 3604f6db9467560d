"""ONNX Runtime: needs neither PyTorch nor a compiler where a network is used."""

from typing import Any

import torch
from torch import Tensor

from impasto.engines.export import onnx_file
from impasto.engines.form import Run, as_called
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
    import onnxruntime as runtime

    refuse_gpu("onnxruntime", device)
    if precision not in (None, torch.float32):
        raise ValueError("engine=onnxruntime computes in float32 only; expected precision=fp32 or precision=auto")
    path = onnx_file(trained)
    options = runtime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3  # errors; warnings are for programmers
    try:
        session = runtime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's exceptions have no base of their own
        raise ValueError(f"{path} cannot be read by ONNX Runtime: {one_line(error)}") from error
    names = [entry.name for entry in session.get_inputs()]

    def compute(*inputs: Tensor) -> tuple[Tensor, ...]:
        given: dict[str, Any] = {
            name: value.float().contiguous().numpy() for name, value in zip(names, inputs, strict=True)
        }
        try:
            results: Any = session.run(None, given)
        except Exception as error:
            raise ValueError(refused("onnxruntime", inputs[0], error)) from error
        return tuple(torch.from_numpy(result) for result in results)

    return as_called(trained.network, compute)


def refuse_gpu(engine: str, device: str) -> None:
    """Refuse a device that the engine does not compute on.

    Raises:
        ValueError: another device than the CPU.
    """
    if device != "cpu":
        raise ValueError(f"engine={engine} runs on the CPU; expected device=cpu, or engine=compiled for {device}")


def refused(engine: str, image: Tensor, error: Exception) -> str:
    """Say that an engine refused an image."""
    size = f"{image.shape[-1]} x {image.shape[-2]} pixels"
    return f"engine={engine} refuses an image of {size}: {one_line(error)}; engine=eager may take it"


def one_line(error: Exception) -> str:
    """The message of an error as one line of at most 200 characters."""
    return " ".join(str(error).split())[:200]
