"""Networks as files that others can run: ONNX and torch.export, for any height and width, with a card beside."""

import hashlib
import json
import logging
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn

from impasto.engines.form import Form, form_of
from impasto.files import cache_folder, sha256, whole_file, write_text
from impasto.networks import Trained
from impasto.networks.rewriting import rewritten

_EXAMPLE = (48, 72)  # height and width at which the network is traced; multiples of 8, not square
_CARD = ".json"

Write = Callable[[Form, Path], None]


def write_onnx(form: Form, path: Path) -> None:
    """Write a form as ONNX.

    Raises:
        ValueError: an operation that ONNX's exporter does not know; names it.
        ImportError: onnxscript is not installed.
    """
    import onnxscript  # noqa: F401 (torch would say much about its absence)

    with _quiet(), torch.no_grad(), _named_operation("onnx"):
        program = torch.onnx.export(
            form.module.eval(),
            form.examples(*_EXAMPLE),
            dynamo=True,
            dynamic_shapes=_dynamic(form),
            input_names=list(form.inputs),
            output_names=list(form.outputs),
            verbose=False,
        )
    assert program is not None
    program.save(path)


def write_torch_export(form: Form, path: Path) -> None:
    """Write a form as `torch.export` does (.pt2).

    Raises:
        ValueError: an operation or a branch that cannot be exported; names it.
    """
    with _quiet(), torch.no_grad(), _named_operation("torch_export"):
        program = torch.export.export(form.module.eval(), form.examples(*_EXAMPLE), dynamic_shapes=_dynamic(form))
    torch.export.save(program, path)


def export_network(trained: Trained, path: Path, write: Write, *, checked: Mapping[str, Any] | None = None) -> Path:
    """Write a trained network and, beside it, its card, both whole or not at all.

    Args:
        trained: the network; normalisation is part of what is written.
        path: of the file.
        write: `write_onnx` or `write_torch_export`.
        checked: what a comparison with eager said, for the card.

    Returns:
        The card's path.

    Raises:
        ValueError: an exported network, or one that cannot be exported.
    """
    if trained.exported is not None:
        raise ValueError(f"{trained.exported} is exported already; expected a run folder or a network.safetensors")
    form = form_of(rewritten(trained.network))
    with whole_file(path) as temporary:
        write(form, temporary)
    card = {**trained.card, "exported": {"file": path.name, **describe(form), "sha256": sha256(path)}}
    if checked is not None:
        card["exported"]["checked"] = dict(checked)
    write_text(path.with_suffix(_CARD), json.dumps(card, indent=1) + "\n")
    return path.with_suffix(_CARD)


def describe(form: Form) -> dict[str, Any]:
    """Say what goes in and comes out: names, shapes, ranges."""
    shape = ["N = 1", form.channels, "H", "W"]
    inputs: dict[str, Any] = {form.inputs[0]: {"shape": shape, "range": [0, 1], "multiple_of": form.multiple}}
    if form.square is not None:
        inputs[form.inputs[1]] = {"shape": ["N = 1", 1, form.square, form.square], "range": [0, 1]}
    return {"inputs": inputs, "outputs": list(form.outputs), "torch": torch.__version__}


def read_card(path: Path) -> dict[str, Any]:
    """Read the card of an exported file, and see that the file is the one that it describes.

    Raises:
        FileNotFoundError: no file, or no card beside it.
        ValueError: no card of ours, or a file that was changed.
    """
    beside = path.with_suffix(_CARD)
    if not path.is_file():
        raise FileNotFoundError(f"no exported network {path}")
    if not beside.is_file():
        raise FileNotFoundError(f"{path} has no card {beside.name} beside it; expected both files of impasto export")
    try:
        card: dict[str, Any] = json.loads(beside.read_text(encoding="utf-8"))
        expected = str(card["exported"]["sha256"])
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{beside} is no card of impasto export") from error
    if (found := sha256(path)) != expected:
        raise ValueError(
            f"{path} was changed since it was exported: expected SHA-256 {expected[:16]}..., got {found[:16]}...; "
            "export it again"
        )
    return card


def onnx_file(trained: Trained) -> Path:
    """Return the ONNX file of a network: the exported one, or one that is made once and kept below ~/.cache/impasto."""
    if trained.exported is not None:
        return trained.exported
    path = cache_folder("onnx") / f"{fingerprint(trained.network)}.onnx"
    try:
        read_card(path)
    except (OSError, ValueError):  # not made yet, or not whole any more
        export_network(trained, path, write_onnx)
    return path


def fingerprint(network: nn.Module, *words: str) -> str:
    """Name a network by its layers and weights, the version of PyTorch and further words: 24 hexadecimal digits."""
    digest = hashlib.sha256(" ".join([torch.__version__, str(network), *words]).encode())
    for name, value in sorted(network.state_dict().items()):
        digest.update(name.encode())
        digest.update(value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:24]


def _dynamic(form: Form) -> tuple[dict[int, Any] | None, ...]:
    size: Any = torch.export.Dim.DYNAMIC
    if form.multiple > 1:
        size = {2: form.multiple * torch.export.Dim("h"), 3: form.multiple * torch.export.Dim("w")}
    else:
        size = {2: size, 3: size}
    return (size, *[None] * (len(form.inputs) - 1))


@contextmanager
def _quiet() -> Iterator[None]:
    """The exporters speak to programmers."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "torch.export", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


@contextmanager
def _named_operation(kind: str) -> Iterator[None]:
    """Say in one sentence which operation stood in the way."""
    try:
        yield
    except Exception as error:
        causes, cause = [], error
        while cause is not None and cause not in causes:
            causes.append(cause)
            cause = cause.__cause__  # type: ignore[assignment]
        told = next((str(c) for c in causes if "translating node" in str(c)), str(causes[-1]))
        raise ValueError(f"the network cannot be exported as {kind}: {' '.join(told.split())[:300]}") from error
