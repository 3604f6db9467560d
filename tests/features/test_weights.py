"""Laws of loading trained weights: from torchvision and from a file, and never code."""

import hashlib
import os
import pickle
import re
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.error import URLError

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional

from impasto.features.vgg import VGG
from impasto.features.weights import CAFFE, pretrained_vgg

MEAN, STD = [0.4, 0.5, 0.6], [0.1, 0.2, 0.3]
IMAGENET = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
CAFFE_ROUNDED = ([0.48235, 0.45882, 0.40784], [1 / 255] * 3)
CAFFE_MEAN = ([123.68 / 255, 116.779 / 255, 103.939 / 255], [1 / 255] * 3)
TO_RELU2_2 = {0: (64, 3), 2: (64, 64), 5: (128, 64), 7: (128, 128)}  # of features, the same in VGG-16 and VGG-19


def _state(*indices: int) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    state = {}
    for index in indices or TO_RELU2_2:
        width, depth = TO_RELU2_2[index]
        state[f"features.{index}.weight"] = torch.randn(width, depth, 3, 3, generator=generator) / 10
        state[f"features.{index}.bias"] = torch.randn(width, generator=generator) / 10
    return state


def _load(weights: str | Path, **changes: Any) -> VGG:
    told = {"architecture": "vgg19", "pooling": nn.MaxPool2d(2), "mean": None, "std": None}
    return pretrained_vgg(torch.rand(1, 3, 8, 8), weights=str(weights), **(told | changes))


def _normalisation(vgg: VGG) -> tuple[list[float], list[float]]:
    return vgg.mean.flatten().tolist(), vgg.std.flatten().tolist()


def _same(vgg: VGG, expected: tuple[list[float], list[float]]) -> bool:
    return all(a == pytest.approx(b, abs=1e-5) for a, b in zip(_normalisation(vgg), expected, strict=True))


class _Bomb:
    """A pickle of this runs a command wherever it is loaded."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch '{self.marker}'",)


# ---------------------------------------------------------------- files


def test_a_safetensors_file_says_its_own_mean_and_std(tmp_path: Path) -> None:
    path = tmp_path / "vgg.safetensors"
    save_file(_state(0), path, {"mean": "[0.4, 0.5, 0.6]", "std": "[0.1, 0.2, 3e-1]"})
    assert _same(_load(path), (MEAN, STD))


def test_a_mean_and_std_given_win_over_those_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "vgg.safetensors"
    save_file(_state(0), path, {"mean": "[0, 0, 0]", "std": "[1, 1, 1]"})
    assert _same(_load(path, mean=MEAN, std=STD), (MEAN, STD))


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
def test_a_state_dict_is_loaded_with_the_mean_and_std_given(tmp_path: Path, zipped: bool) -> None:
    path, state, image = tmp_path / "vgg.pth", _state(0), torch.rand(1, 3, 6, 6)
    torch.save(OrderedDict(state | {"classifier.0.bias": torch.zeros(9)}), path, _use_new_zipfile_serialization=zipped)
    vgg = _load(path, mean=MEAN, std=STD)
    normalised = (image - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(STD).view(3, 1, 1)
    expected = functional.conv2d(normalised, state["features.0.weight"], state["features.0.bias"], padding=1)
    torch.testing.assert_close(vgg(image, ["conv1_1"])["conv1_1"], expected)


@pytest.mark.parametrize("given", [{}, {"mean": MEAN}, {"std": STD}])
def test_a_file_without_mean_and_std_asks_for_them(tmp_path: Path, given: dict[str, list[float]]) -> None:
    torch.save(_state(0), tmp_path / "vgg.pth")
    with pytest.raises(ValueError, match=r"vgg\.pth does not say .*features\.mean=.*features\.std="):
        _load(tmp_path / "vgg.pth", **given)


@pytest.mark.parametrize(
    ("architecture", "name", "expected"),
    [
        ("vgg19", "vgg19-dcbb9e9d.pth", IMAGENET),
        ("vgg16", "vgg16-397923af.pth", IMAGENET),
        ("vgg16", "vgg16_features-amdegroot-88682ab5.pth", CAFFE_ROUNDED),
    ],
)
def test_a_file_named_as_torchvision_names_it_has_torchvisions_normalisation(
    tmp_path: Path, architecture: str, name: str, expected: tuple[list[float], list[float]]
) -> None:
    torch.save(_state(0), tmp_path / name)
    assert _same(_load(tmp_path / name, architecture=architecture), expected)


def test_the_model_card_names_the_file_and_its_hash(tmp_path: Path) -> None:
    torch.save(_state(0), tmp_path / "vgg.pth")
    description = _load(tmp_path / "vgg.pth", mean=MEAN, std=STD).description
    digest = hashlib.sha256((tmp_path / "vgg.pth").read_bytes()).hexdigest()
    assert description.startswith("vgg.pth, sha256 ")
    assert digest.startswith(description.removeprefix("vgg.pth, sha256 "))


@pytest.mark.parametrize("architecture", ["vgg16", "vgg19"])
def test_a_network_is_as_deep_as_its_file_and_says_where_it_ends(tmp_path: Path, architecture: str) -> None:
    save_file(_state(), tmp_path / "vgg.safetensors", {"mean": "[0, 0, 0]", "std": "[1, 1, 1]"})
    vgg = _load(tmp_path / "vgg.safetensors", architecture=architecture)
    assert vgg(torch.rand(1, 3, 8, 8), ["relu2_2"])["relu2_2"].shape == (1, 128, 4, 4)
    with pytest.raises(ValueError, match=rf"{architecture} \(vgg\.safetensors.*no layer 'relu3_3'.*are .*, pool2"):
        vgg(torch.rand(1, 3, 8, 8), ["relu3_3"])


# ---------------------------------------------------------------- files that are refused


@pytest.mark.parametrize("wrapped", [True, False], ids=["torch", "pickle"])
def test_code_in_a_pickle_is_refused_and_does_not_run(tmp_path: Path, wrapped: bool) -> None:
    marker, path = tmp_path / "it_ran", tmp_path / "vgg.pth"
    content = _state(0) | {"extra": _Bomb(marker)}
    pickle.loads(pickle.dumps(content, protocol=2))
    assert marker.exists(), "the test's own pickle must be live"
    marker.unlink()
    torch.save(content, path) if wrapped else path.write_bytes(pickle.dumps(content, protocol=2))
    with pytest.raises(ValueError, match=r"vgg\.pth is refused"):
        _load(path, mean=MEAN, std=STD)
    assert not marker.exists()


def test_a_whole_network_is_refused(tmp_path: Path) -> None:
    torch.save(nn.Sequential(nn.Conv2d(3, 64, 3)), tmp_path / "vgg.pth")
    with pytest.raises(ValueError, match=r"vgg\.pth is refused"):
        _load(tmp_path / "vgg.pth", mean=MEAN, std=STD)


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
@pytest.mark.parametrize("content", [b"", b"hello world\n", b"<!DOCTYPE html>404", b"\xff\xd8\xff\xe0\x00\x10JFIF"])
def test_what_is_not_a_weights_file_is_refused_by_name(tmp_path: Path, suffix: str, content: bytes) -> None:
    path = tmp_path / f"vgg{suffix}"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=re.escape(str(path))):
        _load(path, mean=MEAN, std=STD)


@pytest.mark.parametrize("kept", [0.1, 0.5, 0.95])
@pytest.mark.parametrize("kind", ["zip.pth", "legacy.pth", "a.safetensors"])
def test_a_truncated_weights_file_is_refused_by_name(tmp_path: Path, kind: str, kept: float) -> None:
    path = tmp_path / kind
    if kind.endswith(".pth"):
        torch.save(_state(0), path, _use_new_zipfile_serialization=kind == "zip.pth")
    else:
        save_file(_state(0), path)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * kept)])
    with pytest.raises(ValueError, match=re.escape(str(path))):
        _load(path, mean=MEAN, std=STD)


@pytest.mark.parametrize("numbers", ["[0.4, 0.5]", "0.4 0.5 0.6", ""])
def test_a_mean_that_is_not_three_numbers_is_refused_by_name(tmp_path: Path, numbers: str) -> None:
    path = tmp_path / "vgg.safetensors"
    save_file(_state(0), path, {"mean": numbers, "std": "[1, 1, 1]"})
    with pytest.raises(ValueError, match=r"vgg\.safetensors|three numbers"):
        _load(path)


@pytest.mark.parametrize("content", [{0: torch.zeros(2)}, {"conv1_1.weight": torch.zeros(2)}, {}])
def test_a_state_dict_of_something_else_is_refused_by_name(tmp_path: Path, content: dict[Any, Tensor]) -> None:
    torch.save(content, tmp_path / "vgg.pth")
    with pytest.raises(ValueError, match=r"vgg\.pth .*features\.0\.weight"):
        _load(tmp_path / "vgg.pth", mean=MEAN, std=STD)


@pytest.mark.parametrize("name", ["gone.pth", "imagenet1k_v1", "folder/gone.safetensors"])
def test_a_missing_file_is_named_with_the_names_that_exist(tmp_path: Path, name: str) -> None:
    with pytest.raises(FileNotFoundError, match=rf"{re.escape(name)}; expected a file, or one of CAFFE, IMAGENET1K_V1"):
        _load(tmp_path / name)


# ---------------------------------------------------------------- torchvision


def test_downloaded_weights_have_torchvisions_normalisation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def download(url: str, file: str, hash_prefix: str) -> None:
        asked.append(hash_prefix)
        torch.save(_state(0), file)

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr("torch.hub.download_url_to_file", download)
    vgg = _load("IMAGENET1K_V1")
    assert asked == ["dcbb9e9d"]
    assert _same(vgg, IMAGENET)
    assert vgg.description.startswith("vgg19-dcbb9e9d.pth, sha256 ")


@pytest.mark.parametrize(
    "error",
    [
        URLError("Name or service not known"),
        TimeoutError("timed out"),
        ConnectionResetError("reset by peer"),
        RuntimeError("invalid hash value"),
    ],
)
def test_a_failed_download_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def fail(*arguments: Any, **options: Any) -> None:
        raise error

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr("torch.hub.download_url_to_file", fail)
    message = rf"vgg19-dcbb9e9d\.pth \(.*{error.args[0]}.*features\.weights=.*features=random"
    with pytest.raises(ConnectionError, match=message):
        _load("IMAGENET1K_V1")


def test_a_misspelt_name_of_weights_is_corrected() -> None:
    with pytest.raises(ValueError, match="vgg19 has no weights 'IMAGENET1K_V2'; did you mean 'IMAGENET1K_V1'"):
        _load("IMAGENET1K_V2")


def test_weights_of_another_architecture_are_not_taken() -> None:
    with pytest.raises(ValueError, match="vgg19 has no weights 'IMAGENET1K_FEATURES'"):
        _load("IMAGENET1K_FEATURES")


@pytest.mark.parametrize("weights", ["IMAGENET1K_V1", "vgg.pth"])
def test_an_unknown_architecture_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, weights: str) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save(_state(0), "vgg.pth")
    with pytest.raises(ValueError, match="unknown architecture 'vgg91'; did you mean 'vgg19'"):
        _load(weights, architecture="vgg91")


# ---------------------------------------------------------------- the original weights


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *arguments: Any) -> None:
        """Say nothing."""


@contextmanager
def _served(folder: Path) -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(folder))) as server:
        Thread(target=server.serve_forever).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()


@pytest.fixture
def original(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A whole network in Caffe's order of colours, on a server; the cache is empty."""
    (tmp_path / "server").mkdir()
    saved = tmp_path / "server" / "saved"
    torch.save(_state() | {"classifier.0.weight": torch.zeros(9, 9)}, saved, _use_new_zipfile_serialization=False)
    file = saved.rename(saved.with_name(f"vgg19-{hashlib.sha256(saved.read_bytes()).hexdigest()[:8]}.pth"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with _served(file.parent) as address:
        monkeypatch.setitem(CAFFE, "vgg19", f"{address}/{file.name}")
        yield file


def _cached(tmp_path: Path) -> list[Path]:
    return list((tmp_path / "cache").glob("torch/hub/checkpoints/*"))


def test_the_original_weights_are_fetched_once(
    tmp_path: Path, original: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    vgg = _load("CAFFE")
    assert "100%" in capsys.readouterr().err
    original.unlink()
    assert vgg.description == _load("CAFFE").description
    assert [kept.name for kept in _cached(tmp_path)] == [original.name]


def test_the_original_weights_see_the_colours_in_caffes_order(original: Path) -> None:
    image, state = torch.rand(1, 3, 6, 6), _state()
    caffe = (image * 255 - torch.tensor([123.68, 116.779, 103.939]).view(3, 1, 1)).flip(1)  # blue, green, red
    expected = functional.conv2d(caffe, state["features.0.weight"], state["features.0.bias"], padding=1)
    for weights in ("CAFFE", str(original)):
        torch.testing.assert_close(_load(weights)(image, ["conv1_1"])["conv1_1"], expected, rtol=1e-4, atol=1e-3)


def test_the_first_weights_that_are_there_are_taken(tmp_path: Path, original: Path) -> None:
    here = tmp_path / "here.safetensors"
    save_file(_state(0), here, {"mean": "[0, 0, 0]", "std": "[1, 1, 1]"})
    assert _load_first(tmp_path / "gone.pth", here, "CAFFE").description.startswith("here.safetensors")
    assert not _cached(tmp_path)
    assert _load_first(tmp_path / "gone.pth", "CAFFE").description.startswith(original.stem)


def _load_first(*weights: str | Path) -> VGG:
    return pretrained_vgg(
        torch.rand(1, 3, 8, 8),
        weights=[str(w) for w in weights], architecture="vgg19", pooling=nn.MaxPool2d(2), mean=None, std=None,
    )  # fmt: skip


def _damage(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-9])


@pytest.mark.parametrize(
    ("harm", "said"), [(Path.unlink, "HTTP Error 404: File not found"), (_damage, "invalid hash value")]
)
def test_original_weights_that_do_not_come_leave_nothing_and_say_what_to_do(
    tmp_path: Path, original: Path, harm: Callable[[Path], None], said: str
) -> None:
    harm(original)
    with pytest.raises(ConnectionError, match=rf"{original.name} \({said}.*features\.weights=.*features=random"):
        _load("CAFFE")
    assert not _cached(tmp_path)


# ---------------------------------------------------------------- real data


def test_the_real_weights_give_finite_activations(real_data: Path) -> None:
    vgg = _load(real_data / "weights" / "vgg19_features.safetensors")
    assert _same(vgg, CAFFE_MEAN)
    found = vgg(torch.rand(1, 3, 48, 33, generator=torch.Generator().manual_seed(0)), ["relu1_1", "relu3_3", "relu5_4"])
    for activation in found.values():
        assert activation.isfinite().all()
        assert activation.max() > 1
