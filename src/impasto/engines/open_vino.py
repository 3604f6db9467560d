"""OpenVINO: Intel's engine for CPUs, in float32 or in bfloat16 where the processor computes in it."""

import torch
from torch import Tensor

from impasto.engines.export import onnx_file
from impasto.engines.form import Run, as_called
from impasto.engines.formats import one_line, refused
from impasto.engines.onnx_runtime import refuse_gpu
from impasto.hardware import fastest_precision
from impasto.networks import Trained

_HINTS = {torch.float32: "f32", torch.bfloat16: "bf16"}


def openvino(trained: Trained, *, precision: torch.dtype | None, device: str) -> Run:
    """Compute a network with OpenVINO on the CPU.

    Args:
        trained: the network.
        precision: torch.float32 or torch.bfloat16; None takes bfloat16 where the processor computes in it.
        device: "cpu".

    Returns:
        A function with the network's own arguments and results.

    Raises:
        ValueError: another device, a file that cannot be read, or, when it is called, a refused size.
        ImportError: it is not installed.
    """
    import openvino as ov

    refuse_gpu("openvino", device)
    path = onnx_file(trained)
    hints = {
        "INFERENCE_PRECISION_HINT": _HINTS[precision or fastest_precision(device)],
        "INFERENCE_NUM_THREADS": torch.get_num_threads(),
    }
    try:
        model = ov.Core().compile_model(path, "CPU", hints)
    except RuntimeError as error:
        raise ValueError(f"{path} cannot be read by OpenVINO: {one_line(error)}") from error
    count = len(model.outputs)

    def compute(*inputs: Tensor) -> tuple[Tensor, ...]:
        request = model.create_infer_request()  # of its own, so that several threads may call
        try:
            results = request.infer([value.float().contiguous().numpy() for value in inputs])
        except RuntimeError as error:
            raise ValueError(refused("openvino", inputs[0], error)) from error
        return tuple(torch.from_numpy(results[index].copy()) for index in range(count))

    return as_called(trained.network, compute)
