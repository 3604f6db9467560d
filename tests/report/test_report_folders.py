"""Run folders are found however deep, each once, and nothing in them is trusted."""

import os
from pathlib import Path

import pytest
from made_runs import make_run
from omegaconf import OmegaConf

from impasto.run_folders import find_runs, read_json, read_text, read_yaml


def test_runs_are_found_at_the_folder_itself_and_however_deep(tmp_path: Path) -> None:
    deep = [make_run(tmp_path / name) for name in ("a", "b/0", "b/1", "b/10", "b/2", "c/d/e/f")]
    ablation = [make_run(tmp_path / "abl"), make_run(tmp_path / "abl/runs/colour only")]
    assert find_runs([str(tmp_path)]).runs == [deep[0], *ablation, deep[1], deep[2], deep[4], deep[3], deep[5]]
    assert find_runs([str(deep[0])]).runs == [deep[0]]
    assert find_runs([str(deep[0]), str(tmp_path / "a"), str(tmp_path / "b")]).runs == [
        deep[i] for i in (0, 1, 2, 4, 3)
    ]


def test_a_part_of_a_run_folder_is_one(tmp_path: Path) -> None:
    for mark in ("config.yaml", "status.json"):
        (tmp_path / f"only {mark}").mkdir()
        (tmp_path / f"only {mark}" / mark).write_text("")
    assert len(find_runs([str(tmp_path)]).runs) == 2


def test_circles_of_links_end_and_linked_runs_are_found_once(tmp_path: Path) -> None:
    outputs, elsewhere = tmp_path / "outputs", make_run(tmp_path / "elsewhere")
    run = make_run(outputs / "run")
    (outputs / "circle").symlink_to(outputs)
    (run / "me").symlink_to(run)
    (outputs / "linked").symlink_to(elsewhere)
    (outputs / "linked_again").symlink_to(elsewhere)
    (outputs / "nowhere").symlink_to(tmp_path / "gone")
    (outputs / "itself").symlink_to(outputs / "itself")
    assert find_runs([str(outputs)]).runs == [outputs / "linked", run]


def test_what_was_named_must_be_a_folder_with_runs(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match=r"no such folder: .*gone"):
        find_runs([str(tmp_path / "gone")])
    with pytest.raises(ValueError, match=r"no run folder in .*empty; expected one with config\.yaml and status\.json"):
        find_runs([str(tmp_path / "empty")])
    file = make_run(tmp_path / "run") / "config.yaml"
    with pytest.raises(ValueError, match=r"config\.yaml is no folder"):
        find_runs([str(file)])
    with pytest.raises(ValueError, match="no folders were given"):
        find_runs([])


def test_a_folder_that_cannot_be_read_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run, closed = make_run(tmp_path / "run"), tmp_path / "closed"
    closed.mkdir()
    scan = os.scandir

    def refuse(path: Path) -> object:
        if Path(path) == closed:
            raise PermissionError(13, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", refuse)  # root may read everything
    assert find_runs([str(tmp_path)]) == ([run], {closed: "Permission denied"})


def test_a_link_out_of_the_folder_is_not_followed(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    (tmp_path / "secret").write_text("secret")
    (run / "notes.md").symlink_to(tmp_path / "secret")
    (run / "inside.md").symlink_to(run / "status.json")
    with pytest.raises(ValueError, match="outside of the run folder; not followed"):
        read_text(run, "notes.md")
    with pytest.raises(ValueError, match="outside of the run folder"):
        read_text(run, "../secret")
    assert "finished" in read_text(run, "inside.md")


def test_pipes_folders_and_devices_are_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    with pytest.raises(ValueError, match="is no file"):
        read_text(tmp_path, "pipe")  # would wait for ever
    with pytest.raises(ValueError, match="is a folder"):
        read_text(tmp_path, "folder")


def test_a_text_is_bounded_and_must_be_text(tmp_path: Path) -> None:
    (tmp_path / "long").write_bytes(b"a" * 1_000_001)
    (tmp_path / "binary").write_bytes(b"ab\xff\xfe")
    with pytest.raises(ValueError, match="more than 1,000,000 bytes"):
        read_text(tmp_path, "long")
    with pytest.raises(ValueError, match="byte 3 is not UTF-8"):
        read_text(tmp_path, "binary")


@pytest.mark.parametrize("text", ["", "{", "[1]", "[" * 100_000, "9" * 5000, '"a"'])
def test_json_that_is_no_object_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "status.json").write_text(text)
    with pytest.raises(ValueError, match=r"is no JSON|expected a JSON object"):
        read_json(tmp_path, "status.json")


_MERGES = "a: &a {x: 1}\n" + "".join(
    f"{chr(98 + i)}: &{chr(98 + i)} {{<<: [{','.join(['*' + chr(97 + i)] * 10)}]}}\n" for i in range(9)
)


@pytest.mark.parametrize(
    "text",
    ["", "1", "a: [", "a: 'x", "? [1]\n: 2", "a: !!python/object:os.system x", "a: 2020-99-99", "a: &a [*a]"],
)
def test_yaml_that_is_no_plain_mapping_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"is no YAML|expected a YAML mapping"):
        read_yaml(text)


@pytest.mark.parametrize(
    "text", [_MERGES, "[" * 200_000, "a: " + "{b: " * 60 + "}" * 60, "\0", "a: " + "9" * 5000], ids=range(5)
)
def test_yaml_that_is_no_plain_mapping_is_refused_at_once(text: str) -> None:
    with pytest.raises(ValueError, match=r"is no YAML|expected a YAML mapping"):
        read_yaml(text)


def test_names_that_are_no_utf8_are_read_as_they_were_written() -> None:
    told = {"images": ["caf\udce9.png"]}
    assert read_yaml(OmegaConf.to_yaml(told)) == told
