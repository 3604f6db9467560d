"""The fastest engine that is installed and agrees with eager float32: measured once on a machine, then remembered."""

import contextlib
import hashlib
import json
import logging
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from impasto.engines.eager import eager
from impasto.engines.export import fingerprint
from impasto.engines.form import Run, form_of
from impasto.files import cache_file, write_text
from impasto.hardware import computes_bf16, processor, synchronise
from impasto.networks import Trained

log = logging.getLogger(__name__)

_SHARE = 0.25  # of the work's seconds that trying another engine may take
_PIXELS = 1_000_000  # of a photograph whose size is not known yet
_NAMES = {torch.float32: "fp32", torch.bfloat16: "bf16"}


class Engine(Protocol):
    """From a trained network to a function with its arguments and results."""

    def __call__(self, trained: Trained, *, precision: torch.dtype | None, device: str) -> Run:
        """Prepare the network."""


@dataclass(frozen=True)
class Candidate:
    """An engine that may be chosen.

    Attributes:
        engine: the engine.
        seconds: that it takes to start, roughly; decides whether trying it is worth its time.
    """

    engine: Engine
    seconds: float


@dataclass(frozen=True)
class Measured:
    """What an engine did with a photograph.

    Attributes:
        name: of the engine.
        precision: "fp32" or "bf16".
        start: seconds of preparing it and of its first image.
        seconds: of a megapixel.
        mean: deviation from eager float32, in grey levels.
        largest: likewise.
    """

    name: str
    precision: str
    start: float
    seconds: float
    mean: float
    largest: float


class Auto:
    """Chooses among engines, then is the one that it chose.

    An engine is tried when that is worth its time: none that must compile for half a minute is for a single photograph.
    What was measured is kept below ~/.cache/impasto/engines, by network, processor, GPU, threads and versions.

    Args:
        candidates: by name.
        mean: greatest mean deviation from eager float32 that still agrees, in grey levels.
        largest: greatest deviation of a single value, likewise.
        photographs: how many there are to do.
    """

    def __init__(
        self, *, candidates: Mapping[str, Candidate], mean: float, largest: float, photographs: int | None
    ) -> None:
        self.candidates = dict(candidates)
        self.mean, self.largest = mean, largest
        self.megapixels = (photographs or 1) * _PIXELS / 1e6

    def __call__(self, trained: Trained, *, precision: torch.dtype | None, device: str) -> Run:
        """Choose, say what was chosen and why, and prepare it.

        Args:
            trained: the network.
            precision: None chooses that, too.
            device: where it shall run.

        Raises:
            ValueError: none of the engines can compute it.
        """
        file = cache_file(f"engines/{fingerprint(trained)}_{self._machine(device)}.json")
        known = _read(file)
        before = len(known)
        self._measure(trained, known, _precisions(precision, device), device)
        if len(known) > before:
            with contextlib.suppress(OSError):  # a cache that may only be read
                write_text(file, json.dumps([asdict(measured) for measured in known.values()], indent=1) + "\n")
        able = [m for m in known.values() if precision is None or m.precision == _NAMES[precision]]
        agreeing = [m for m in able if m.mean <= self.mean and m.largest <= self.largest and m.name in self.candidates]
        if not agreeing:
            raise ValueError(f"none of {', '.join(self.candidates)} computes this network as eager fp32 does")
        best = min(agreeing, key=self._cost)
        _tell(best, known)
        chosen = next(dtype for dtype, name in _NAMES.items() if name == best.precision)
        return self.candidates[best.name].engine(trained, precision=chosen, device=device)

    def _cost(self, measured: Measured) -> float:
        return measured.start + measured.seconds * self.megapixels

    def _machine(self, device: str) -> str:
        name = torch.cuda.get_device_name(device) if device.startswith("cuda") else ""
        told = [
            device,
            name,
            processor(),
            platform.machine(),
            str(torch.get_num_threads()),
            *map(_version, self.candidates),
        ]
        return hashlib.sha256(" ".join(told).encode()).hexdigest()[:12]

    def _measure(
        self, trained: Trained, known: dict[str, Measured], precisions: Sequence[torch.dtype], device: str
    ) -> None:
        """Add to what is known the candidates that are worth trying."""
        reference: list[Tensor] | None = None
        tries = [(name, p) for name in sorted(self.candidates, key=self._start) for p in precisions]
        for name, precision in tries:
            label = f"{name} {_NAMES[precision]}"
            fastest = min((self._cost(m) for m in known.values()), default=float("inf"))
            if label in known or self._start(name) > _SHARE * fastest:
                continue
            inputs = _inputs(trained)
            if reference is None:
                reference = _reference(trained, inputs, device)
            if (found := self._try(trained, name, precision, device, inputs, reference)) is not None:
                known[label] = found

    def _start(self, name: str) -> float:
        return self.candidates[name].seconds

    def _try(
        self,
        trained: Trained,
        name: str,
        precision: torch.dtype,
        device: str,
        inputs: tuple[Tensor, ...],
        reference: list[Tensor] | None,
    ) -> Measured | None:
        """Measure a candidate; None where it is not installed or cannot do it."""
        try:
            begin = time.perf_counter()
            run = self.candidates[name].engine(trained, precision=precision, device=device)
            first = _tensors(run(*inputs))
            start = time.perf_counter() - begin
            seconds = min(_seconds(run, inputs, device) for _ in range(2))
        except (ImportError, OSError, RuntimeError, ValueError) as error:
            log.debug("%s: %s", name, error)
            return None
        pixels = inputs[0].shape[-1] * inputs[0].shape[-2]
        gaps = [torch.zeros(1)] if reference is None else [255 * (first[0] - reference[0]).abs()]
        mean, largest = float(gaps[0].mean()), float(gaps[0].max())
        return Measured(name, _NAMES[precision], start, seconds * 1e6 / pixels, mean, largest)


def _precisions(precision: torch.dtype | None, device: str) -> list[torch.dtype]:
    if precision is not None:
        return [precision]
    return [torch.float32, torch.bfloat16] if computes_bf16(device) else [torch.float32]


def _version(package: str) -> str:
    """Of the engine's package, or of PyTorch for its own."""
    try:
        return version(package)
    except PackageNotFoundError:
        return torch.__version__ if package in ("eager", "compiled") else "absent"


def _inputs(trained: Trained) -> tuple[Tensor, ...]:
    """A photograph as the network takes it."""
    from skimage import data

    photo = torch.from_numpy(data.astronaut())  # type: ignore[no-untyped-call]
    photo = photo.permute(2, 0, 1)[None, :, :256, 128:448] / 255
    if form_of(trained.network).channels == 3:
        return (photo,)
    return (photo.mean(dim=1, keepdim=True),)


def _reference(trained: Trained, inputs: tuple[Tensor, ...], device: str) -> list[Tensor] | None:
    """What eager float32 says; an exported network has no other form, and is believed."""
    if trained.exported is not None:
        return None
    return _tensors(eager(trained, precision=torch.float32, device=device)(*inputs))


def _tensors(result: Any) -> list[Tensor]:  # noqa: ANN401 (an image or a prediction)
    return [result] if isinstance(result, Tensor) else [x for x in result if x is not None]


def _seconds(run: Callable[..., object], inputs: tuple[Tensor, ...], device: str) -> float:
    synchronise(device)
    begin = time.perf_counter()
    run(*inputs)
    synchronise(device)
    return time.perf_counter() - begin


def _read(file: Path) -> dict[str, Measured]:
    try:
        rows = [Measured(**row) for row in json.loads(file.read_text(encoding="utf-8"))]
    except (OSError, ValueError, TypeError):  # none yet, or one of another version
        return {}
    return {f"{row.name} {row.precision}": row for row in rows}


def _tell(best: Measured, known: Mapping[str, Measured]) -> None:
    plain = known.get("eager fp32")
    ratio = f", {plain.seconds / best.seconds:.1f} times as fast as eager fp32" if plain not in (None, best) else ""
    agreement = f"deviates by {best.mean:.2f} grey levels in the mean, {best.largest:.1f} at most"
    log.info("engine: %s %s (%s%s)", best.name, best.precision, agreement, ratio)
