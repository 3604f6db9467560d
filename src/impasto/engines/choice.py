"""engine=auto: the fastest engine that is installed, in an order that was measured, and agrees with eager float32."""

import logging
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional

from impasto.engines.eager import eager
from impasto.engines.export import is_exported
from impasto.engines.form import Run, form_of
from impasto.engines.onnx_runtimes import onnxruntime, openvino
from impasto.hardware import fastest_precision
from impasto.networks import Trained

log = logging.getLogger(__name__)

_MANY = 30  # photographs from which the seconds of the first export are won back
_MEAN, _LARGEST = 1.0, 16.0  # ours: grey levels by which an engine may deviate


class Engine(Protocol):
    """From a trained network to a function with its arguments and results."""

    def __call__(self, trained: Trained, *, precision: torch.dtype | None, device: str) -> Run:
        """Prepare the network."""


_ON_CPU: dict[str, Engine] = {"openvino": openvino, "onnxruntime": onnxruntime}  # the faster first


def auto(trained: Trained, *, precision: torch.dtype | None, device: str, photographs: int | None = None) -> Run:
    """Compute a network with OpenVINO, else ONNX Runtime, else PyTorch; on a GPU with PyTorch.

    The first two read an exported file, which is made where there are many `photographs` to do, and used from then on.
    A precision of None is what the hardware is fastest in.
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
