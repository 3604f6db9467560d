"""Laws of files that are whole or absent."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from impasto.files import cache_file, short_name, whole_file, write_text


def test_a_whole_file_has_its_content_and_leaves_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    with whole_file(path) as temporary:
        temporary.write_bytes(b"content")
        assert temporary.parent == path.parent
        assert temporary.suffix == path.suffix
        assert not path.exists()
    assert path.read_bytes() == b"content"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("letter", ["x", "写", "\udce9"])
def test_a_short_name_leaves_room_for_a_number_and_a_suffix(letter: str, tmp_path: Path) -> None:
    longest = letter * (250 // len(os.fsencode(letter)))
    names = [short_name(longest + end) for end in ("1.jpg", "2.jpg", "")]
    for name in names:
        (tmp_path / f"{name}_123456_{'f' * 20}.png").touch()
    assert len(set(names)) == 3
    assert short_name("my photo.jpg") == "my photo.jpg"


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, SystemExit])
def test_an_exception_leaves_the_old_file_and_no_other(tmp_path: Path, error: type[BaseException]) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(error), whole_file(path) as temporary:
        temporary.write_text("half of the n")
        raise error
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_whole_file_may_be_read_by_whoever_reads_other_files(tmp_path: Path) -> None:
    (tmp_path / "other").touch()
    with whole_file(tmp_path / "a.txt") as temporary:
        temporary.touch(mode=0o600)
    assert (tmp_path / "a.txt").stat().st_mode == (tmp_path / "other").stat().st_mode


def test_text_is_utf8(tmp_path: Path) -> None:
    write_text(tmp_path / "a.txt", "café 絵")
    assert (tmp_path / "a.txt").read_bytes() == "café 絵".encode()


@pytest.mark.parametrize(
    "stem",
    ["a" * 250, "猫" * 83, "é" * 125, ".dots.in.name", "a b=[c],d"],
    ids=["long", "long Japanese", "long French", "dots", "signs"],
)
def test_any_name_that_the_disk_takes_can_be_written(tmp_path: Path, stem: str) -> None:
    path = tmp_path / f"{stem}.txt"
    path.write_text("the disk takes it")
    write_text(path, "whole")
    assert path.read_text() == "whole"


def test_a_private_file_is_never_readable_by_others(tmp_path: Path) -> None:
    with whole_file(tmp_path / "tokens.csv", private=True) as temporary:
        assert temporary.stat().st_mode & 0o077 == 0
        temporary.write_text("secret")
    assert (tmp_path / "tokens.csv").stat().st_mode & 0o777 == 0o600


def test_what_is_kept_is_found_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    write_text(cache_file("kind/a.json"), "x")
    assert (tmp_path / "impasto/kind/a.json").read_text() == "x"
    assert cache_file("kind/a.json").read_text() == "x"


def _file_in_the_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))


def _nobodys_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    del tmp_path
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.setattr("pwd.getpwuid", {}.__getitem__)


@pytest.mark.parametrize("spoil", [_file_in_the_way, _nobodys_home])
def test_without_a_cache_things_are_kept_until_the_process_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spoil: Callable[[Path, pytest.MonkeyPatch], None]
) -> None:
    spoil(tmp_path, monkeypatch)
    write_text(cache_file("kind/a.json"), "x")
    assert cache_file("kind/a.json").read_text() == "x"
