"""Files of a run folder are read with care: they may be broken, huge, or lead elsewhere."""

import math
import os
from pathlib import Path

import pytest
from made_runs import make_run
from omegaconf import OmegaConf

from impasto.run_folders import RunFolder, read_yaml


def test_a_link_out_of_the_folder_is_not_followed(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    (tmp_path / "secret").write_text("secret")
    (run / "notes.md").symlink_to(tmp_path / "secret")
    (run / "inside.md").symlink_to(run / "status.json")
    with pytest.raises(ValueError, match="outside of the run folder; not followed"):
        RunFolder(run).read_text("notes.md")
    with pytest.raises(ValueError, match="outside of the run folder"):
        RunFolder(run).read_text("../secret")
    assert "finished" in RunFolder(run).read_text("inside.md")


def test_pipes_folders_and_devices_are_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    with pytest.raises(ValueError, match="is no file"):
        RunFolder(tmp_path).read_text("pipe")  # would wait for ever
    with pytest.raises(ValueError, match="is no file"):
        RunFolder(tmp_path).read_text("folder")


def test_a_text_must_be_text(tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"ab\xff\xfe")
    with pytest.raises(ValueError, match="codec can't decode byte 0xff in position 2"):
        RunFolder(tmp_path).read_text("binary")


@pytest.mark.parametrize("text", ["", "{", "[1]", "[" * 100_000, "9" * 5000, '"a"'])
def test_json_that_is_no_object_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "status.json").write_text(text)
    with pytest.raises(ValueError, match="is no JSON object"):
        RunFolder(tmp_path).read_status()


_MERGES = "a: &a {x: 1}\n" + "".join(
    f"{chr(98 + i)}: &{chr(98 + i)} {{<<: [{','.join(['*' + chr(97 + i)] * 10)}]}}\n" for i in range(9)
)


@pytest.mark.parametrize(
    "text",
    ["", "1", "a: [", "a: 'x", "? [1]\n: 2", "a: !!python/object:os.system x", "a: 2020-99-99", "a: &a [*a]"],
)
def test_yaml_that_is_no_plain_mapping_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no YAML mapping"):
        read_yaml(text)


@pytest.mark.parametrize("text", [_MERGES, "[" * 200_000, "\0", "a: " + "9" * 5000], ids=range(4))
def test_yaml_that_is_no_plain_mapping_is_refused_at_once(text: str) -> None:
    with pytest.raises(ValueError, match="is no YAML mapping"):
        read_yaml(text)


def test_names_that_are_no_utf8_are_read_as_they_were_written() -> None:
    told = {"images": ["caf\udce9.png"]}
    assert read_yaml(OmegaConf.to_yaml(told)) == told


def test_values_survive_as_they_were_logged(tmp_path: Path) -> None:
    (tmp_path / "metrics.csv").write_text("step,a,b\n0,1.5,\n1,nan,inf\n2,,-inf\n3,1e-300,2\n")
    metrics = RunFolder(tmp_path).read_metrics()
    a, b = metrics["a"], metrics["b"]
    assert list(a.steps) == [0, 1, 3] and a.values[0] == 1.5 and math.isnan(a.values[1]) and a.values[2] == 1e-300
    assert (list(b.steps), list(b.values)) == ([1, 2, 3], [math.inf, -math.inf, 2])


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b"loss,other\n1,2\n", 2),
        (b"step,a\n0,1\n1,what\n", 3),
        (b"step,a,b\n0,1,2\n1,5", 3),
        (b"step,a\n" + b"9" * 300_000 + b",1\n5,2\n", 1),
    ],
    ids=range(4),
)
def test_what_is_no_table_of_numbers_is_refused_with_its_line(tmp_path: Path, content: bytes, line: int) -> None:
    (tmp_path / "metrics.csv").write_bytes(content)
    with pytest.raises(ValueError, match=f"line {line} of metrics.csv is not numbers by step"):
        RunFolder(tmp_path).read_metrics()
