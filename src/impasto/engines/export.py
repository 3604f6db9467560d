"""Trained networks as files that others can run, for any height and width, with a card beside each."""

import hashlib
import json
from pathlib import Path
from typing import Any

import torch

from impasto.engines.formats import Form, Format, form_of, format_of
from impasto.files import cache_file, sha256, whole_file, write_text
from impasto.networks import Trained
from impasto.networks.rewriting import rewritten

_CARD = ".json"
_CHECKED = ((65, 91), (131, 77), (53, 175))  # height and width
_VERSION = "1"  # of what is written, by which kept files are named
_AGREES = 0.5  # grey levels: no pixel is rounded further away than to the next one


def export_network(trained: Trained, path: Path, kind: Format, *, check: bool = True) -> dict[str, Any]:
    """Write a trained network, normalisation included, and its card beside it, both whole or not at all.

    With `check`, the file is read again and compared with eager float32 at three odd sizes. Returns the card, whose
    "exported" says what goes in and comes out, the checksum, and how far the file deviates.

    Raises:
        ValueError: an exported network, one that cannot be exported, or one whose export computes something else.
        ImportError: a package for this kind of file is not installed.
    """
    if trained.exported is not None:
        raise ValueError(f"{trained.exported} is exported already; expected a run folder or a network.safetensors")
    form = form_of(rewritten(trained.network))
    card = {**trained.card, "exported": {"file": path.name, **_describe(form)}}
    with whole_file(path) as temporary:
        kind.write(form, temporary)
        card["exported"]["sha256"] = sha256(temporary)
        if check:
            card["exported"]["checked"] = _compare(form_of(trained.network), temporary, kind)
    write_text(path.with_suffix(_CARD), json.dumps(card, indent=1) + "\n")
    return card


def read_card(path: Path) -> dict[str, Any]:
    """Read the card of an exported file, and see that the file is the one that it describes.

    A FileNotFoundError or a ValueError says what is not there, or was changed.
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
        gap = f"expected SHA-256 {expected[:16]}..., got {found[:16]}..."
        raise ValueError(f"{path} was changed since it was exported: {gap}; export it again")
    return card


def onnx_file(trained: Trained) -> Path:
    """Return the ONNX file of a network: the exported one, or one that is made once and kept below ~/.cache/impasto."""
    if not is_exported(trained):
        export_network(trained, _kept(trained), format_of("onnx"), check=False)
    return _kept(trained)


def is_exported(trained: Trained) -> bool:
    """Whether `onnx_file` has its file already, whole."""
    try:
        return trained.exported is not None or bool(read_card(_kept(trained)))
    except (OSError, ValueError):
        return False


def _kept(trained: Trained) -> Path:
    return trained.exported or cache_file(f"onnx/{fingerprint(trained)}.onnx")


def fingerprint(trained: Trained) -> str:
    """Name a network by its layers, its weights and PyTorch: 24 hexadecimal digits."""
    digest = hashlib.sha256(f"{_VERSION} {torch.__version__} {trained.network}".encode())
    for name, value in sorted(trained.network.state_dict().items()):
        digest.update(name.encode())
        digest.update(value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:24]


def _describe(form: Form) -> dict[str, Any]:
    """Say what goes in and comes out: names, shapes, ranges."""
    first = {"shape": ["N", form.channels, "H", "W"], "range": [0, 1], "multiple_of": form.multiple}
    second = {"shape": ["N", 1, form.square, form.square], "range": [0, 1], "is": "the first's middle square, resized"}
    inputs = dict(zip(form.inputs, (first, second), strict=False))
    return {"inputs": inputs, "outputs": list(form.outputs), "torch": torch.__version__}


@torch.inference_mode()
def _compare(form: Form, path: Path, kind: Format) -> dict[str, Any]:
    """Compare a file with the network as it was trained, in eager float32."""
    compute = kind.read(path)
    sizes = [[max(1, side // form.multiple) * form.multiple for side in size] for size in _CHECKED]
    gaps = []
    for height, width in sizes:
        inputs = form.examples(1, height, width)
        expected, found = form.module.eval()(*inputs)[0], compute(*inputs)[0]
        if expected.shape != found.shape:
            raise ValueError(f"the exported network gives {tuple(found.shape)}, not {tuple(expected.shape)}")
        gaps.append((255 * (expected - found).abs()).flatten())
    largest, mean = (float(x) for x in (torch.cat(gaps).max(), torch.cat(gaps).mean()))
    if not largest < _AGREES:
        raise ValueError(f"the exported network deviates from eager by {largest:.2f} grey levels, expected < {_AGREES}")
    return {"sizes": sizes, "largest_deviation_grey_levels": largest, "mean_deviation_grey_levels": mean}
