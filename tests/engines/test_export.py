"""Exported networks: any size, the right numbers, a card that fits the file, and one sentence where that fails."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from small_networks import KINDS, small
from torch import Tensor, nn

from impasto.engines import FORMATS, export_network, form_of, format_of, read_card
from impasto.engines.export import fingerprint, onnx_file
from impasto.engines.formats import write_onnx, write_torch_export
from impasto.networks import Trained, save_network

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", FORMATS)
def test_a_file_computes_what_the_network_does_at_any_size(name: str, kind: str, tmp_path: Path) -> None:
    trained, path = small(kind), tmp_path / f"network{FORMATS[name].suffix}"
    card = export_network(trained, path, format_of(name))
    assert sorted(p.name for p in tmp_path.iterdir()) == [path.with_suffix(".json").name, path.name]
    assert read_card(path) == card == json.loads(path.with_suffix(".json").read_text())
    told = card["exported"]
    assert len(told["checked"]["sizes"]) == 3 and told["checked"]["largest_deviation_grey_levels"] < 0.5
    assert told["checked"]["sizes"][0] == ([64, 88] if kind == "colorizer" else [65, 91])
    form = form_of(trained.network)
    inputs = form.examples(3, 72, 104)  # neither traced nor checked
    with torch.inference_mode():
        expected = form.module(*inputs)
    found = FORMATS[name].read(path)(*inputs)
    assert set(told["inputs"]) == set(form.inputs) and told["outputs"] == list(form.outputs)
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-3)


def _exported(tmp_path: Path) -> Path:
    path = tmp_path / "network.onnx"
    export_network(small("stylizer"), path, format_of("onnx"), check=False)
    return path


def test_a_changed_file_is_refused(tmp_path: Path) -> None:
    path = _exported(tmp_path)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(
        ValueError, match=r"network\.onnx was changed since it was exported: expected SHA-256 \w{16}\.\.\."
    ):
        read_card(path)


def test_a_file_without_its_card_is_refused(tmp_path: Path) -> None:
    path = _exported(tmp_path)
    path.with_suffix(".json").write_text("[]")
    with pytest.raises(ValueError, match=r"network\.json is no card of impasto export"):
        read_card(path)
    path.with_suffix(".json").unlink()
    with pytest.raises(FileNotFoundError, match=r"has no card network\.json beside it; expected both files"):
        read_card(path)


class _Unknown(nn.Module):
    def forward(self, image: Tensor) -> Tensor:
        return torch.special.airy_ai(image)


class _Branch(nn.Module):
    def forward(self, image: Tensor) -> Tensor:
        return image if image.sum() > 0 else -image


def test_an_operation_that_cannot_be_exported_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"cannot be exported as onnx: .*airy_ai"):
        write_onnx(form_of(_Unknown()), tmp_path / "x.onnx")
    with pytest.raises(ValueError, match=r"cannot be exported as torch_export: .*data-dependent"):
        write_torch_export(form_of(_Branch()), tmp_path / "x.pt2")
    assert not list(tmp_path.iterdir())


def test_an_export_that_deviates_is_not_kept(tmp_path: Path) -> None:
    kind = format_of("torch_export")
    wrong = kind._replace(read=lambda path: lambda *inputs: (torch.zeros(1, 3, *inputs[0].shape[-2:]),))
    with pytest.raises(ValueError, match=r"the exported network deviates from eager by .* grey levels, expected < 0.5"):
        export_network(small("stylizer"), tmp_path / "x.pt2", wrong)
    assert not list(tmp_path.iterdir())


def test_the_file_for_an_engine_is_made_once_and_again_when_it_is_broken() -> None:
    trained = small("stylizer")
    path = onnx_file(trained)
    first = path.stat().st_mtime_ns
    assert onnx_file(trained) == path and path.stat().st_mtime_ns == first
    path.write_bytes(b"broken")
    assert onnx_file(trained).stat().st_size > 1000
    read_card(path)


def test_a_fingerprint_knows_weights_and_layers() -> None:
    trained, same = small("stylizer"), small("stylizer")
    assert fingerprint(trained) == fingerprint(same)
    with torch.no_grad():
        next(same.network.parameters())[0, 0, 0, 0] += 1e-3
    assert fingerprint(trained) != fingerprint(same)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """The folder of a run with a small network."""
    trained = small("stylizer")
    save_network(tmp_path / "run" / "network.safetensors", trained.network, trained.card)
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (41, 60, 3), dtype=np.uint8)).save(tmp_path / "a.png")
    return tmp_path / "run"


def test_an_exported_network_is_applied_like_its_run(impasto: Callable[..., Any], run: Path, tmp_path: Path) -> None:
    result = impasto("export", f"run={run}", "output=mine.onnx")
    assert result.code == 0, result.err
    assert "mine.onnx and mine.json: largest deviation from eager fp32 0.0" in result.out and "91 x 65" in result.out
    common = ("a.png", "engine=onnxruntime")
    assert impasto("apply", *common, f"run={run}", "output=one").code == 0
    assert impasto("apply", *common, "run=mine.onnx", "output=two").code == 0
    assert Path("one/a.png").read_bytes() == Path("two/a.png").read_bytes()
    result = impasto("apply", "a.png", "run=mine.onnx", "engine=compiled", "output=three")
    assert result.code == 1 and "mine.onnx is an exported network; expected engine=onnxruntime" in result.err


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (("format=onxx",), "expected format=onnx or format=torch_export, got onxx; did you mean 'onnx'?"),
        (("output=there.onnx",), "there.onnx is there already; overwrite=true replaces it"),
        (("output=x.pt2",), "expected output=<file ending in .onnx> for format=onnx, got x.pt2"),
        (("run=nowhere",), "'nowhere' is neither a run folder, a network file nor a shipped network"),
        (("run=null",), "'None' is neither"),
    ],
)
def test_what_cannot_be_exported_is_said(
    impasto: Callable[..., Any], run: Path, overrides: tuple[str, ...], message: str
) -> None:
    Path("there.onnx").write_bytes(b"precious")
    given = overrides if overrides[0].startswith("run=") else (f"run={run}", *overrides)
    result = impasto("export", *given)
    assert result.code == 1 and message in result.err and "Traceback" not in result.err
    assert Path("there.onnx").read_bytes() == b"precious"


def test_a_package_that_is_not_installed_names_its_extra(
    impasto: Callable[..., Any], run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "openvino", None)
    result = impasto("apply", "a.png", f"run={run}", "engine=openvino", "output=out")
    assert result.code == 1
    assert "this needs openvino, which is not installed; expected pip install -e '.[openvino]'" in result.err


def test_exporting_twice_is_refused() -> None:
    trained: Trained = small("stylizer")._replace(exported=Path("x.onnx"))
    with pytest.raises(ValueError, match=r"x\.onnx is exported already; expected a run folder"):
        export_network(trained, Path("y.onnx"), format_of("onnx"))
