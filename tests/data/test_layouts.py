"""Tests of how scenes lie on disks: class folders, Places365 as torchvision keeps it, the lists of Places205."""

import hashlib
from pathlib import Path
from typing import Any
from urllib.error import URLError

import pytest
from torchvision.datasets import Places365
from torchvision.datasets import places365 as torchvision_places365

from impasto.data import class_folders, places205, places365
from impasto.data.layouts import Labelled, Layout


def _files(folder: Path, *names: str) -> Path:
    """Empty files: nothing is opened here."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def _class(folder: Path, count: int) -> Path:
    return _files(folder, *(f"{number:02d}.jpg" for number in range(count)))


def _folders(root: Path, *, val_part: float = 0.25, seed: int = 0) -> Layout:
    return class_folders(root, val_part=val_part, seed=seed)


def _scenes(items: list[Labelled], root: Path) -> set[tuple[str, int]]:
    return {(str(path.relative_to(root)), label) for path, label in items}


# ---------------------------------------------------------------- class folders


def test_train_and_val_folders_are_read_as_they_are(tmp_path: Path) -> None:
    _files(tmp_path, "train/sea/a.jpg", "train/sea/b.PNG", "train/alp/c.webp", "val/sea/d.jpg", "val/alp/e.jpg")
    found = _folders(tmp_path)
    assert found.classes == ["alp", "sea"]
    assert _scenes(found.train, tmp_path) == {("train/sea/a.jpg", 1), ("train/sea/b.PNG", 1), ("train/alp/c.webp", 0)}
    assert _scenes(found.val, tmp_path) == {("val/sea/d.jpg", 1), ("val/alp/e.jpg", 0)}


@pytest.mark.parametrize("below", ["", "train"])
def test_one_tree_is_split_within_each_class(tmp_path: Path, below: str) -> None:
    tree = tmp_path / below
    for name, count in (("alp", 8), ("sea", 3), ("bog", 2)):
        _class(tree / name, count)
    found = _folders(tmp_path)
    assert found.classes == ["alp", "bog", "sea"]
    train, val = _scenes(found.train, tree), _scenes(found.val, tree)
    assert train.isdisjoint(val)
    assert len(train | val) == 13
    assert [[label for _, label in items].count(1) for items in (train, val)] == [1, 1]
    assert [label for _, label in val].count(0) == 2  # a quarter of 8
    assert all(found.classes[label] == name.split("/")[0] for name, label in train | val)


def test_split_follows_the_seed_alone(tmp_path: Path) -> None:
    _class(tmp_path / "alp", 30)
    first, again, other = (_folders(tmp_path, seed=seed) for seed in (1, 1, 2))
    assert first == again
    assert set(first.val) != set(other.val)
    assert len(first.val) == len(other.val)


def test_what_is_hidden_or_no_image_is_passed_over(tmp_path: Path) -> None:
    _files(tmp_path, "sea/a.jpg", "sea/b.jpg", "sea/.c.jpg", "sea/notes.txt", ".cache/d.jpg", "impasto_chroma.csv")
    found = _folders(tmp_path)
    assert found.classes == ["sea"]
    assert {path.name for path, _ in (*found.train, *found.val)} == {"a.jpg", "b.jpg"}


def test_a_linked_class_folder_is_a_class(tmp_path: Path) -> None:
    _class(tmp_path / "elsewhere", 3)
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "sea").symlink_to(tmp_path / "elsewhere")
    assert len(_folders(tmp_path / "root").train) == 2


@pytest.mark.parametrize("empty", ["train/sea", "val/sea"])
def test_an_empty_class_folder_is_named(tmp_path: Path, empty: str) -> None:
    _files(tmp_path, *(f"{part}/alp/a.jpg" for part in ("train", "val")))
    for part in ("train", "val"):
        _files(tmp_path / part / "sea", "notes.txt" if empty.startswith(part) else "a.jpg")
    with pytest.raises(ValueError, match=f"no images in folder .*{empty}"):
        _folders(tmp_path)


@pytest.mark.parametrize(("part", "other"), [("train", "val"), ("val", "train")])
def test_a_class_of_one_part_only_is_named_with_its_place(tmp_path: Path, part: str, other: str) -> None:
    _files(tmp_path, f"{part}/alp/a.jpg", f"{part}/bog/a.jpg", f"{part}/sea/a.jpg", f"{other}/sea/a.jpg")
    with pytest.raises(ValueError, match=rf"different classes: 'alp' is only in .*/{part}$"):
        _folders(tmp_path)


def test_a_class_of_one_photograph_cannot_be_split(tmp_path: Path) -> None:
    _class(tmp_path / "alp", 4)
    _files(tmp_path, "sea/deep/a.jpg")
    with pytest.raises(ValueError, match=r"class folder .*/sea holds one photograph; expected two"):
        _folders(tmp_path)


def test_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no folder .*/nowhere; expected one with train/<class>/"):
        _folders(tmp_path / "nowhere")


def test_val_without_train_is_no_class_of_that_name(tmp_path: Path) -> None:
    _class(tmp_path / "val" / "sea", 3)
    with pytest.raises(FileNotFoundError, match=r"no folder .*/train beside .*/val"):
        _folders(tmp_path)


@pytest.mark.parametrize("below", ["", "train"])
def test_photographs_without_class_folders_are_refused(tmp_path: Path, below: str) -> None:
    _class(tmp_path / below, 3)
    with pytest.raises(ValueError, match=f"{tmp_path / below} holds no class folders; expected .*/<class>/"):
        _folders(tmp_path)


@pytest.mark.parametrize("val_part", [0.0, 1.0, -0.1, 1.5, float("nan")])
def test_val_part_outside_zero_to_one_is_refused(tmp_path: Path, val_part: float) -> None:
    with pytest.raises(ValueError, match=f"val_part between 0 and 1, got {val_part}"):
        _folders(tmp_path, val_part=val_part)


# ---------------------------------------------------------------- Places205

CLASSES = "/a/abbey 0\n/a/airport_terminal 1\n/a/apartment_building/outdoor 2\n"
TRAIN = "a/abbey/x.jpg 0\na/apartment_building/outdoor/y.jpg 2\n"
VAL = "a/airport_terminal/z.jpg 1\n"
PHOTOGRAPHS = ("a/abbey/x.jpg", "a/apartment_building/outdoor/y.jpg", "a/airport_terminal/z.jpg")


def _lists(root: Path, *, classes: str = CLASSES, train: str = TRAIN, val: str = VAL) -> Layout:
    _files(root / "images", *PHOTOGRAPHS)
    for name, text in (("classes.csv", classes), ("train.csv", train), ("val.csv", val)):
        (root / name).write_bytes(text.encode())
    return places205(root, images="images", train="train.csv", val="val.csv", classes="classes.csv")


def test_lists_give_classes_paths_and_labels(tmp_path: Path) -> None:
    found = _lists(tmp_path)
    assert found.classes == ["abbey", "airport_terminal", "apartment_building/outdoor"]
    assert found.train == [
        (tmp_path / "images" / "a/abbey/x.jpg", 0),
        (tmp_path / "images" / "a/apartment_building/outdoor/y.jpg", 2),
    ]
    assert found.val == [(tmp_path / "images" / "a/airport_terminal/z.jpg", 1)]


@pytest.mark.parametrize(
    "rewrite",
    [
        lambda text: text.replace("\n", "\r\n"),
        lambda text: text.replace(" ", "\t"),
        lambda text: text.replace("\n", "  \n\n"),
        lambda text: text.rstrip("\n"),
        lambda text: "\ufeff" + text,
    ],
    ids=["CRLF", "tab", "empty lines", "no last newline", "byte order mark"],
)
def test_lists_of_other_editors_mean_the_same(tmp_path: Path, rewrite: Any) -> None:
    rewritten = {key: rewrite(text) for key, text in (("classes", CLASSES), ("train", TRAIN), ("val", VAL))}
    assert _lists(tmp_path, **rewritten) == _lists(tmp_path)


@pytest.mark.parametrize("missing", ["classes.csv", "train.csv", "val.csv"])
def test_missing_list_is_named(tmp_path: Path, missing: str) -> None:
    _lists(tmp_path)
    (tmp_path / missing).unlink()
    with pytest.raises(FileNotFoundError, match=missing):
        places205(tmp_path, images="images", train="train.csv", val="val.csv", classes="classes.csv")


@pytest.mark.parametrize("label", [3, -1, 205])
def test_label_outside_the_classes_is_refused(tmp_path: Path, label: int) -> None:
    with pytest.raises(ValueError, match=rf"label {label} of .*a/abbey/x\.jpg in the lists of .*; expected 0 to 2"):
        _lists(tmp_path, train=f"{TRAIN}a/abbey/x.jpg {label}\n")


@pytest.mark.parametrize("line", ["a/abbey/x.jpg", "a/abbey/x.jpg zero", "a/abbey/x.jpg 1.5", "7", "x.jpg --5"])
def test_a_broken_line_is_refused_with_its_list(tmp_path: Path, line: str) -> None:
    with pytest.raises(ValueError, match=r"train\.csv: expected a name and a number on each line"):
        _lists(tmp_path, train=f"{TRAIN}{line}\n")


def test_list_that_is_no_text_is_named(tmp_path: Path) -> None:
    _lists(tmp_path)
    (tmp_path / "train.csv").write_bytes(b"\xff\xd8\xff\xe0 JFIF")
    with pytest.raises(ValueError, match=r"train\.csv: expected a name and a number"):
        places205(tmp_path, images="images", train="train.csv", val="val.csv", classes="classes.csv")


@pytest.mark.parametrize("classes", [CLASSES.replace("2", "3"), CLASSES.replace("2", "1"), "/a/abbey 1\n"])
def test_class_numbers_with_gaps_or_twice_are_refused(tmp_path: Path, classes: str) -> None:
    last = classes.count("\n") - 1
    with pytest.raises(ValueError, match=rf"classes\.csv does not number its {last + 1} classes from 0 to {last}"):
        _lists(tmp_path, classes=classes)


# ---------------------------------------------------------------- Places365


@pytest.fixture
def devkit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small Places365, whose checksums torchvision takes for the right ones."""
    root = tmp_path / "places365"
    texts = {
        "categories_places365.txt": "/a/airfield 0\n/b/bar 1\n/a/art_school/indoor 2\n",  # not in the alphabet's order
        "places365_train_standard.txt": "/a/airfield/00000001.jpg 0\n/b/bar/00000002.jpg 1\n"
        "/a/art_school/indoor/00000003.jpg 2\n",
        "places365_val.txt": "Places365_val_00000001.jpg 2\nPlaces365_val_00000002.jpg 0\n",
    }
    sums = {}
    for name, text in texts.items():
        _files(root, name).joinpath(name).write_text(text)
        sums[name] = (name, hashlib.md5(text.encode()).hexdigest())
    monkeypatch.setattr(Places365, "_CATEGORIES_META", sums["categories_places365.txt"])
    lists = {"train-standard": sums["places365_train_standard.txt"], "val": sums["places365_val.txt"]}
    monkeypatch.setattr(Places365, "_FILE_LIST_META", lists)
    for folder in ("data_256_standard", "val_256"):
        (root / folder).mkdir()
    return root


def test_places365_gives_classes_paths_and_labels(devkit: Path) -> None:
    found = places365(devkit, small=True, download=False)
    assert found.classes == ["airfield", "bar", "art_school/indoor"]
    assert found.train == [
        (devkit / "data_256_standard/a/airfield/00000001.jpg", 0),
        (devkit / "data_256_standard/b/bar/00000002.jpg", 1),
        (devkit / "data_256_standard/a/art_school/indoor/00000003.jpg", 2),
    ]
    assert found.val == [
        (devkit / "val_256/Places365_val_00000001.jpg", 2),
        (devkit / "val_256/Places365_val_00000002.jpg", 0),
    ]


def test_the_originals_have_folders_of_their_own(devkit: Path) -> None:
    for name in ("data", "val"):
        (devkit / f"{name}_256{'_standard' * (name == 'data')}").rename(
            devkit / f"{name}_large{'_standard' * (name == 'data')}"
        )
    found = places365(devkit, small=False, download=False)
    assert {path.relative_to(devkit).parts[0] for path, _ in found.train} == {"data_large_standard"}
    assert {path.relative_to(devkit).parts[0] for path, _ in found.val} == {"val_large"}


@pytest.mark.parametrize("missing", ["data_256_standard", "val_256"])
def test_missing_photographs_are_named_by_their_folder(devkit: Path, missing: str) -> None:
    (devkit / missing).rmdir()
    with pytest.raises(FileNotFoundError, match=rf"no folder .*/{missing}; data\.layout\.download=true fetches it"):
        places365(devkit, small=True, download=False)


@pytest.mark.parametrize("damage", [Path.unlink, lambda list_: list_.write_text("/a/airfield/00000001.jpg 0\n")])
def test_missing_or_damaged_list_is_named_with_what_to_do(devkit: Path, damage: Any) -> None:
    damage(devkit / "places365_train_standard.txt")
    with pytest.raises(FileNotFoundError, match=r"no Places365 in .*places365_train_standard\.txt .*data=scenes"):
        places365(devkit, small=True, download=False)


def test_missing_root_gives_one_sentence_and_makes_no_folder(tmp_path: Path) -> None:
    with pytest.raises(
        FileNotFoundError, match=r"no Places365 in .*/nowhere: [^.]*categories_places365\.txt [^.]*; data"
    ):
        places365(tmp_path / "nowhere", small=True, download=False)
    assert not (tmp_path / "nowhere").exists()


def _no_network(error: Exception) -> Any:
    def fail(*_: object, **__: object) -> None:
        raise error

    return fail


@pytest.mark.parametrize("missing", ["categories_places365.txt", "val_256"])
@pytest.mark.parametrize(
    "error", [URLError("no network"), TimeoutError("slow"), RuntimeError("File not found or corrupted.")], ids=repr
)
def test_failed_download_says_what_to_do(
    devkit: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, missing: str
) -> None:
    path = devkit / missing
    path.rmdir() if path.is_dir() else path.unlink()
    monkeypatch.setattr(torchvision_places365, "download_and_extract_archive", _no_network(error))
    with pytest.raises(ConnectionError, match=r"could not download Places365 into .*fetch it by hand"):
        places365(devkit, small=True, download=True)
