"""ONNX Runtime and OpenVINO: the engines for a CPU that read the ONNX file of a network."""

import torch
from torch import Tensor

from impasto.engines.export import onnx_file
from impasto.engines.form import Run, as_called
from impasto.engines.formats import one_line, read_onnx, refusal
from impasto.hardware import fastest_precision
from impasto.networks import Trained


def onnxruntime(trained: Trained, *, precision: torch.dtype | None, device: str) -> Run:
    """Compute a network with ONNX Runtime on the CPU, in float32: its kernels of convolutions know no other."""
    import onnxruntime  # noqa: F401 (before a file is made for it)

    _refuse_gpu("onnxruntime", device)
    if precision not in (None, torch.float32):
        raise ValueError("engine=onnxruntime computes in float32 only; expected precision=fp32 or precision=auto")
    return as_called(trained.network, read_onnx(onnx_file(trained)))


def openvino(trained: Trained, *, precision: torch.dtype | None, device: str) -> Run:
    """Compute a network with OpenVINO, Intel's engine, on the CPU; without a precision in the faster of the two."""
    import openvino as ov

    _refuse_gpu("openvino", device)
    path = onnx_file(trained)
    precision = precision or fastest_precision(device)
    hints = {
        "INFERENCE_PRECISION_HINT": "bf16" if precision == torch.bfloat16 else "f32",
        "INFERENCE_NUM_THREADS": torch.get_num_threads(),
    }
    try:
        model = ov.Core().compile_model(path, "CPU", hints)
    except RuntimeError as error:
        raise ValueError(f"{path} cannot be read by OpenVINO: {one_line(error)}") from error

    def compute(*inputs: Tensor) -> tuple[Tensor, ...]:
        request = model.create_infer_request()  # of its own, so that several threads may call
        try:
            results = request.infer([value.float().contiguous().numpy() for value in inputs])
        except RuntimeError as error:
            raise refusal("openvino", inputs[0], error) from error
        return tuple(torch.from_numpy(results[index].copy()) for index in range(len(model.outputs)))

    return as_called(trained.network, compute)


def _refuse_gpu(engine: str, device: str) -> None:
    if device != "cpu":
        raise ValueError(f"engine={engine} runs on the CPU; expected device=cpu, or engine=compiled for {device}")
