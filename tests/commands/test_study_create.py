"""impasto study create: photographs and methods become blinded pictures and balanced sessions."""

import json
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hydra import compose, initialize_config_dir
from PIL import Image
from torch import Tensor

from impasto.cli import conf_dir
from impasto.commands import study_create
from impasto.images import read_image, to_uint8, write_image
from impasto.methods import method_of
from impasto.networks import Stylizer, save_network
from impasto.study.folder import CATCH, RATED, REPEAT, Study, image_file, lost_pictures, read_study
from impasto.study.folder import read_tokens as tokens_of
from impasto.study.pictures import spoiled
from impasto.trained import load_named

NAMES = ["a b.jpg", "c.png", "sub/d.jpg"]
FEW = ("raters=2", "repeats=0", "catches=1")


def _photographs(folder: Path, names: list[str] | None = None, *, height: int = 36, width: int = 48) -> Path:
    """Photographs of smooth noise, which other sizes keep recognisable."""
    for number, name in enumerate(names or NAMES):
        generator = torch.Generator().manual_seed(number)
        small = torch.rand(1, 3, height // 6, width // 6, generator=generator)
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        write_image(path, torch.nn.functional.interpolate(small, size=(height, width), mode="bilinear")[0])
    return folder


def _network(folder: Path) -> Path:
    torch.manual_seed(0)
    card = {"system": "stylizer", "network": {"class": "Stylizer", "width": 4, "blocks": 1}}
    save_network(folder / "network.safetensors", Stylizer(width=4, blocks=1), card)
    return folder


def _create(folder: Path, *overrides: str) -> Path:
    """The command without its process, for what has no output."""
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        cfg = compose("study_create", [f"folder={folder / 'study'}", *FEW, *overrides])
    study_create.run(cfg)
    return folder / "study"


def _levels(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image)


def _shown(folder: Path) -> dict[tuple[str, str | None], np.ndarray]:
    """Pixels by photograph and method."""
    study = read_study(folder)
    return {(s.photograph, s.method): _levels(image_file(folder, name)) for name, s in study.stimuli.items()}


def _layout(study: Study) -> list[list[Any]]:
    """The sessions without the names of the pictures."""
    return [
        [(t.kind, *((study.stimuli[p].photograph, study.stimuli[p].method) for p in t.pictures)) for t in session]
        for session in study.sessions
    ]


# ---------------------------------------------------------------- what is made


def test_a_study_of_every_kind_of_method(impasto: Callable[..., Any], tmp_path: Path) -> None:
    _photographs(tmp_path / "photos")
    run = _network(tmp_path / "my run")
    for name in NAMES:
        write_image((tmp_path / "results" / name).with_suffix(".png"), 1 - read_image(tmp_path / "photos" / name))
    methods = "{truth: photograph, grey: grey, run: my run, file: my run/network.safetensors, other: results}"
    result = impasto("study", "create", "photos", f"methods={methods}", "raters=10", "catches=2", "repeats=1", "seed=3")
    assert result.code == 0, result.err
    folder = result.folder
    study = read_study(folder)
    assert study.methods == ("truth", "grey", "run", "file", "other")
    assert lost_pictures(study, folder) == []
    assert sorted(tokens_of(folder).values()) == list(range(1, 11))
    shown = _shown(folder)
    method = method_of(load_named(str(run)))
    for name in NAMES:
        photo = read_image(tmp_path / "photos" / name)
        expected: dict[str, Tensor] = {"truth": photo, "run": method(photo[None])[0].image, "other": 1 - photo}
        for key, image in {**expected, "file": expected["run"]}.items():
            np.testing.assert_array_equal(shown[name, key], to_uint8(image))
        grey = shown[name, "grey"].astype(int)
        assert np.ptp(grey, axis=2).max() <= 1 and np.ptp(grey) > 30
    assert "10 raters, 6 trials each: a whole number of cycles of the 5 methods, exactly balanced" in result.out
    assert f"next: impasto study serve {folder}" in result.out
    _is_blinded(folder, study)


def _is_blinded(folder: Path, study: Study) -> None:
    files = sorted((folder / "images").iterdir())
    assert [file.stem for file in files] == sorted(study.stimuli) == list(study.stimuli)
    assert all(re.fullmatch(r"[0-9a-f]{16}", file.stem) for file in files)
    kinds = {
        (s.photograph, image_file(folder, name).stat().st_size, s.width, s.height) for name, s in study.stimuli.items()
    }
    assert len(kinds) == len(NAMES)  # one size in bytes and in pixels a photograph
    words = [*study.methods, *NAMES, "spoiled", "impasto", "catch"]
    assert not [(f, w) for f in files for w in words if len(w) > 3 and w.encode() in f.read_bytes()]


def test_pairs_repeats_and_catch_trials_are_laid_out(impasto: Callable[..., Any], tmp_path: Path) -> None:
    _photographs(tmp_path / "photos")
    told = ("question=better", "methods={truth: photograph, grey: grey}", "repeats=1", "catches=2", "raters=4")
    result = impasto("study", "create", "photos", *told, "break_every=null", "title=My study")
    assert result.code == 0, result.err
    study = read_study(result.folder)
    assert (study.question.pictures, study.break_every, study.title) == (2, None, "My study")
    assert len(study.sessions) == 4
    for session in study.sessions:
        assert Counter(trial.kind for trial in session) == {RATED: 3, REPEAT: 1, CATCH: 2}
        for trial in session:
            names = [study.stimuli[picture] for picture in trial.pictures]
            assert len({stimulus.photograph for stimulus in names}) == 1
            assert (None in {stimulus.method for stimulus in names}) == (trial.kind == CATCH)
    assert "a whole number of cycles of the 2 ordered pairs, exactly balanced" in result.out


@pytest.mark.slow
def test_a_spoiled_picture_is_made_of_the_first_method(impasto: Callable[..., Any], tmp_path: Path) -> None:
    _photographs(tmp_path / "photos", ["a.png"])
    result = impasto("study", "create", "photos", "methods={truth: photograph, grey: grey}", *FEW, "seed=4")
    photo = read_image(tmp_path / "photos" / "a.png")
    expected = spoiled(photo, torch.Generator().manual_seed(4))
    np.testing.assert_array_equal(_shown(result.folder)["a.png", None], to_uint8(expected))


@pytest.mark.slow
def test_the_same_seed_gives_the_same_design_under_other_names(impasto: Callable[..., Any], tmp_path: Path) -> None:
    _photographs(tmp_path / "photos")
    told = ("study", "create", "photos", "methods={truth: photograph, grey: grey}", "raters=6", *FEW[1:])
    folders = [impasto(*told, f"seed={seed}").folder for seed in (1, 1, 2)]
    one, same, other = (read_study(folder) for folder in folders)
    assert _layout(one) == _layout(same) != _layout(other)
    assert not set(one.stimuli) & set(same.stimuli)
    assert not set(tokens_of(folders[0])) & set(tokens_of(folders[1]))
    assert one.sessions != same.sessions


def test_part_of_a_cycle_is_said_to_be_uneven(impasto: Callable[..., Any], tmp_path: Path) -> None:
    _photographs(tmp_path / "photos")
    result = impasto("study", "create", "photos", "methods={a: photograph, b: grey, c: grey}", *FEW)
    assert "the last cycle of the 3 methods is not whole; raters= a multiple of 3 is exact" in result.out


@pytest.mark.slow
def test_only_pictures_that_someone_sees_are_made(impasto: Callable[..., Any], tmp_path: Path) -> None:
    _photographs(tmp_path / "photos")
    told = ("methods={a: photograph, b: grey, c: grey}", "raters=1", "repeats=0", "catches=0")
    result = impasto("study", "create", "photos", *told)
    assert len(read_study(result.folder).stimuli) == len(list((result.folder / "images").iterdir())) == 3


# ---------------------------------------------------------------- sizes, and results from elsewhere


def test_pictures_are_reduced_to_the_longer_side_that_is_asked_for(tmp_path: Path) -> None:
    _photographs(tmp_path / "photos")
    folder = _create(tmp_path, f"images={tmp_path}/photos", "methods={truth: photograph}", "size=24")
    for name in NAMES:
        expected = read_image(tmp_path / "photos" / name, at_most=24)
        np.testing.assert_array_equal(_shown(folder)[name, "truth"], to_uint8(expected))


@pytest.mark.parametrize(("scale", "expected"), [(2, (36, 48)), (0.5, (18, 24))])
def test_no_picture_is_enlarged(tmp_path: Path, scale: float, expected: tuple[int, int]) -> None:
    _photographs(tmp_path / "photos", ["a.png", "e.jpg"])
    for name in ("a.webp", "e.tiff"):
        write_image(tmp_path / "results" / name, torch.rand(3, round(36 * scale), round(48 * scale)))
    methods = f"methods={{truth: photograph, other: {tmp_path}/results}}"
    folder = _create(tmp_path, f"images={tmp_path}/photos", methods)
    assert {pixels.shape[:2] for pixels in _shown(folder).values()} == {expected}


def test_results_lie_in_subfolders_or_flat(impasto: Callable[..., Any], tmp_path: Path) -> None:
    _photographs(tmp_path / "photos")
    for name in NAMES:
        image = 1 - read_image(tmp_path / "photos" / name)
        write_image((tmp_path / "deep" / name).with_suffix(".png"), image)
        write_image(tmp_path / "flat" / Path(name).with_suffix(".tif").name, image)
    result = impasto("study", "create", "photos", "methods={deep: deep, flat: flat}", *FEW)
    assert result.code == 0, result.err
    shown = _shown(result.folder)
    for name in NAMES:
        expected = to_uint8(1 - read_image(tmp_path / "photos" / name))
        for method in ("deep", "flat"):
            np.testing.assert_array_equal(shown[name, method], expected)


def test_of_two_results_the_one_of_the_very_name_is_taken(tmp_path: Path) -> None:
    _photographs(tmp_path / "photos", ["a.jpg"])
    for name, level in (("a.jpg", 1.0), ("a.png", 0.0)):
        write_image(tmp_path / "results" / name, torch.full((3, 36, 48), level))
    folder = _create(tmp_path, f"images={tmp_path}/photos", f"methods={{other: {tmp_path}/results}}")
    assert _shown(folder)["a.jpg", "other"].min() == 255


def _with_results(tmp_path: Path, results: dict[str, tuple[int, int]], photographs: list[str]) -> None:
    _photographs(tmp_path / "photos", photographs)
    for name, (height, width) in results.items():
        write_image(tmp_path / "results" / name, torch.rand(3, height, width))


@pytest.mark.parametrize(
    ("photographs", "results", "message"),
    [
        (
            ["a.jpg", "b.jpg"],
            {"a.png": (36, 48)},
            r"methods\.other: expected one result for b\.jpg in \S+results, got none",
        ),
        (["a.jpg"], {"a.png": (36, 40)}, r"methods\.other: .*photos/a\.jpg with sides as 48 x 36, got 40 x 36"),
        (["a.jpg"], {"a.png": (9, 10)}, r"methods\.other: .*photos/a\.jpg with sides as 48 x 36, got 10 x 9"),
        (
            ["a.jpg"],
            {"a.png": (36, 48), "a.webp": (36, 48)},
            r"expected one result for a\.jpg in \S+, got \S+a\.png and \S+webp",
        ),
        (["a.jpg", "a.png"], {"a.webp": (36, 48)}, r"a\.webp would be the result of both a\.jpg and a\.png"),
        (["x/a.jpg", "y/a.jpg"], {"a.png": (36, 48)}, r"a\.png would be the result of both x/a\.jpg and y/a\.jpg"),
    ],
)
def test_results_that_do_not_fit_are_refused(
    tmp_path: Path, photographs: list[str], results: dict[str, tuple[int, int]], message: str
) -> None:
    _with_results(tmp_path, results, photographs)
    methods = f"methods={{truth: photograph, other: {tmp_path}/results}}"
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        _create(tmp_path, f"images={tmp_path}/photos", methods)
    assert not list(tmp_path.rglob("study.json"))


# ---------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("methods=null",), "expected methods to be a valid dictionary, got None"),
        (
            ("methods={x: stary_night}",),
            "methods.x: 'stary_night' is neither a run folder, a network file nor a shipped ",
        ),
        (("methods={x: photos/c.png}",), "methods.x: photos/c.png is not a safetensors file"),
        (("images=[nothing.jpg]",), "no such file or folder: nothing.jpg"),
        (
            ("images=[photos/broken.jpg]", "methods={a: photograph}"),
            "photos/broken.jpg is not an image that can be read",
        ),
        (("images=[photos/c.png, twin/c.png]",), "photos/c.png and twin/c.png are both called c.png; rename one"),
        (("raters=0",), "expected raters to be greater than or equal to 1, got 0"),
        (("rule.least_catches=2",), "expected rule.least_catches to be less than or equal to 1, got 2"),
        (("question.pictures=3",), "expected question.pictures to be 1 or 2, got 3"),
        (("question=better", "methods={a: grey}"), "expected at least 2 methods for 2 pictures at once, got 1"),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else "",
)
def test_bad_input_is_refused_in_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    _photographs(tmp_path / "photos", ["c.png"])
    _photographs(tmp_path / "twin", ["c.png"])
    (tmp_path / "photos" / "broken.jpg").write_bytes(b"no image")
    default = ["images=[photos/c.png]", "methods={truth: photograph, grey: grey}"]  # Hydra would merge two mappings
    given = [word.partition("=")[0] for word in arguments]
    told = [word for word in default if word.partition("=")[0] not in given]
    with pytest.raises((ValueError, FileNotFoundError)) as caught:
        _create(tmp_path, *told, *arguments)
    assert str(caught.value).startswith(message) and "\n" not in str(caught.value)
    assert not list(tmp_path.rglob("study.json"))


def _files(folder: Path) -> dict[Path, bytes]:
    """All but Hydra's own record of the last start."""
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.parent.name != ".hydra"}


def test_a_study_is_not_made_over_another(impasto: Callable[..., Any], tmp_path: Path) -> None:
    _photographs(tmp_path / "photos", ["c.png"])
    told = ("study", "create", "photos", "hydra.run.dir=mine", *FEW)
    assert impasto(*told, "methods={a: photograph, b: grey}").code == 0
    before = _files(tmp_path / "mine")
    result = impasto(*told, "methods={x: grey, y: photograph}")
    message = f"hydra.run.dir={tmp_path}/mine has a study already, which would be lost; give another folder"
    assert (result.code, result.err) == (1, f"error: {message}\n")
    assert _files(tmp_path / "mine") == before


@pytest.mark.slow
def test_a_failed_study_leaves_its_reason_and_no_study(impasto: Callable[..., Any], tmp_path: Path) -> None:
    _with_results(tmp_path, {"a.png": (36, 48)}, ["a.jpg", "b.jpg"])
    assert impasto("study", "create", "photos", "methods={other: results}", *FEW).code == 1
    (status,) = tmp_path.glob("outputs/*/*_study_*/status.json")
    assert json.loads(status.read_text())["status"] == "failed"
    result = impasto("study", "analyse", str(status.parent))
    assert result.code == 1 and "expected the run folder of an 'impasto study create'" in result.err
