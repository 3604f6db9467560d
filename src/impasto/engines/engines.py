"""PyTorch as it is and compiled, ONNX Runtime, OpenVINO; and engine=auto, which chooses."""

import logging
import warnings
from collections.abc import Callable
from contextlib import nullcontext

import torch
from torch import Tensor, nn
from torch.nn import functional

from impasto.engines.export import is_exported, onnx_file
from impasto.engines.formats import Compute, Run, as_called, form_of, one_line, read_onnx, refusal
from impasto.hardware import exact_float32, fastest_precision
from impasto.networks import Trained, Upscaler
from impasto.networks.rewriting import BicubicEnlargement, rewritten, with_group_norm

log = logging.getLogger(__name__)

_MANY = 30  # photographs from which the seconds of the first export are won back
_MEAN, _LARGEST = 1.0, 16.0  # ours: grey levels by which an engine may deviate
Engine = Callable[..., Run]  # from a trained network, its precision and device, to a function in the network's place


def eager(trained: Trained, *, precision: torch.dtype | None, device: str) -> Run:
    """Compute a network with PyTorch, rewritten (`networks.rewriting`), and refuse an exported file.

    Args:
        trained: the network.
        precision: torch.float32, or torch.bfloat16 for weights and activations; None takes bfloat16 where the hardware
            computes in it.
        device: where it shall run.

    Returns:
        A function with the network's own arguments and results, float32.
    """
    return _computed(trained, precision, device, lambda module: module)


def compiled(trained: Trained, *, precision: torch.dtype | None, device: str) -> Run:
    """As `eager`, with `torch.compile`: a wait at the first image, and at the first of another size."""
    return _computed(trained, precision, device, _compiled)


def _computed(
    trained: Trained, precision: torch.dtype | None, device: str, prepare: Callable[[nn.Module], Compute]
) -> Run:
    if trained.exported is not None:
        raise ValueError(f"{trained.exported} is an exported network; expected engine=onnxruntime or engine=openvino")
    precision = precision or fastest_precision(device)
    faster = _lowered(rewritten(trained.network), precision).to(device)
    compute = prepare(form_of(faster).module)
    seen = torch.float32 if isinstance(faster, Upscaler) else precision  # which keeps its identity in float32
    memory_format = torch.contiguous_format if precision == torch.float32 else torch.channels_last

    @torch.inference_mode()
    def run(*inputs: Tensor) -> tuple[Tensor, ...]:
        given = [x.to(device, seen, memory_format=memory_format) for x in inputs]
        with exact_float32() if precision == torch.float32 else nullcontext():  # others are compared with it
            found = compute(*given)
        return tuple(x.float().to(inputs[0].device) for x in found)

    return as_called(trained.network, run)


def _lowered(network: nn.Module, precision: torch.dtype) -> nn.Module:
    """Weights in the precision, in the memory format and with the norm that are fastest in it."""
    if precision == torch.float32:
        return network
    network = with_group_norm(network)
    kept = [(m, m.filters) for m in network.modules() if isinstance(m, BicubicEnlargement)]
    network = network.to(precision).to(memory_format=torch.channels_last)
    for module, filters in kept:
        module.filters = filters
    return network


def _compiled(module: nn.Module) -> Compute:
    optimised: Compute = torch.compile(module)

    def compute(*inputs: Tensor) -> tuple[Tensor, ...]:
        try:
            with warnings.catch_warnings(action="ignore"):  # advice of the compiler, meant for programmers
                return optimised(*inputs)
        except Exception as error:
            if not type(error).__module__.startswith(("torch._dynamo", "torch._inductor")):
                raise
            advice = "expected a C++ compiler such as g++; engine=eager needs none"
            raise ValueError(f"engine=compiled could not compile the network ({one_line(error)}); {advice}") from error

    return compute


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
    bf16 = (precision or fastest_precision(device)) == torch.bfloat16
    hints = {
        "INFERENCE_PRECISION_HINT": "bf16" if bf16 else "f32",
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


_ON_CPU: dict[str, Engine] = {"openvino": openvino, "onnxruntime": onnxruntime}  # the faster first
ENGINES: dict[str, Engine] = {"eager": eager, "compiled": compiled, **_ON_CPU}


def auto(trained: Trained, *, precision: torch.dtype | None, device: str, photographs: int | None = None) -> Run:
    """Compute a network with OpenVINO, else ONNX Runtime, else PyTorch, the first that is installed and agrees with it.

    The order was measured; on a GPU it is PyTorch. The first two read an exported file, which is made where there are
    many `photographs` to do, and used from then on. A precision of None is what the hardware is fastest in.
    """
    name, run = "eager", None
    if device == "cpu" and (is_exported(trained) or (photographs or 1) >= _MANY):
        for name, engine in _ON_CPU.items():
            if (run := _agreeing(engine, name, trained, precision)) is not None:
                break
    if run is None:
        name, run = "eager", eager(trained, precision=precision, device=device)
    bf16 = name != "onnxruntime" and (precision or fastest_precision(device)) == torch.bfloat16
    log.info("engine: %s %s", name, "bf16" if bf16 else "fp32")
    return run


def _agreeing(engine: Engine, name: str, trained: Trained, precision: torch.dtype | None) -> Run | None:
    """Prepare an engine; None where it is not installed, cannot compute the network, or computes something else."""
    try:
        run = engine(trained, precision=precision, device="cpu")
        if trained.exported is not None:  # it has no other form, and is believed
            return run
        photo = _photograph(form_of(trained.network).channels)
        results = [r(photo) for r in (run, eager(trained, precision=torch.float32, device="cpu"))]
    except (ImportError, OSError, RuntimeError, ValueError) as error:
        log.debug("%s: %s", name, error)
        return None
    found, expected = (r if isinstance(r, Tensor) else r[0] for r in results)
    gap = 255 * (found - expected).abs()
    if float(gap.mean()) <= _MEAN and float(gap.max()) <= _LARGEST:
        return run
    log.warning("%s deviates from eager fp32 by %.1f grey levels; it is not used", name, float(gap.max()))
    return None


def _photograph(channels: int) -> Tensor:
    """What resembles a piece of a photograph to a network: large and small structure, the same each time."""
    noise = torch.Generator().manual_seed(0)
    large, small = (torch.rand(1, channels, *size, generator=noise) for size in ((8, 10), (128, 160)))
    return (functional.interpolate(large, scale_factor=16, mode="bicubic") + 0.1 * (small - 0.5)).clamp(0, 1)
