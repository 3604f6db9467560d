"""PyTorch as it is, and compiled by it."""

import warnings
from collections.abc import Callable
from contextlib import nullcontext

import torch
from torch import Tensor, nn

from impasto.engines.form import Compute, Run, as_called, form_of
from impasto.hardware import exact_float32, fastest_precision
from impasto.networks import Trained, Upscaler
from impasto.networks.rewriting import BicubicEnlargement, rewritten, with_group_norm


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
    kept = [m for m in network.modules() if isinstance(m, BicubicEnlargement)]
    filters = [m.filters for m in kept]
    network = network.to(precision).to(memory_format=torch.channels_last)
    for module, values in zip(kept, filters, strict=True):
        module.filters = values
    return network


def _compiled(module: nn.Module) -> Compute:
    optimised = torch.compile(module)

    def compute(*inputs: Tensor) -> tuple[Tensor, ...]:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # advice of the compiler, meant for programmers
                result: tuple[Tensor, ...] = optimised(*inputs)
        except Exception as error:
            if type(error).__module__.startswith(("torch._dynamo", "torch._inductor")):
                reason = " ".join(str(error).split())[:200]
                raise ValueError(
                    f"engine=compiled could not compile the network ({reason}); expected a C++ compiler such as g++; "
                    "engine=eager needs none"
                ) from error
            raise
        return result

    return compute
