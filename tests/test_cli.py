"""The command line itself: lists, help, version, completion, and its speed of import."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from impasto.cli import COMMANDS, conf_dir
from impasto.images import write_image
from impasto.launch.help import choices


def test_impasto_alone_lists_commands_experiments_and_styles(impasto: Callable[..., Any]) -> None:
    text = impasto().out
    for name in [*COMMANDS, *choices(conf_dir(), "experiment"), *choices(conf_dir(), "style")]:
        line = next(line for line in text.splitlines() if line.startswith(f"  {name} "))
        assert len(line.split(maxsplit=1)[1]) > 10
    assert impasto("--help").out == text


def test_help_marks_the_styles_that_we_ship(impasto: Callable[..., Any]) -> None:
    assert "starry_night *  " in impasto().out and "image *" not in impasto().out


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_has_help(command: str, impasto: Callable[..., Any]) -> None:
    assert f"impasto {command}" in impasto(command, "--help").out


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; sys.argv = ['impasto', '--help']; from impasto.cli import main; main(); print(sorted(sys.modules))"
    )
    modules = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert not [name for name in ("torch", "hydra", "lightning", "numpy", "wandb") if f"'{name}'" in modules]


def test_applying_a_network_imports_neither_training_nor_logging_nor_compiling(tmp_path: Path) -> None:
    write_image(tmp_path / "a.png", torch.rand(3, 24, 32))
    code = (
        "import sys; sys.argv = 'impasto apply style=starry_night engine=eager a.png'.split();"
        "from impasto.cli import main; main(); print(*sorted(sys.modules))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path)
    modules = run.stdout.splitlines()[-1].split()
    heavy = ("lightning", "torchvision", "torch._dynamo", "sympy", "torchmetrics", "wandb", "matplotlib", "skimage")
    assert not set(heavy) & set(modules)
    assert len(modules) < 2000  # 1,762 when this was written; 1,199 of them are those of `import torch`


def test_version(impasto: Callable[..., Any]) -> None:
    from impasto import __version__

    assert impasto("--version").out == f"impasto {__version__}\n"


def test_neither_a_closed_pipe_nor_a_terminal_without_umlauts_ends_the_work() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    code = "import sys; from impasto.cli import main; main(); print('Größe', file=sys.stderr); print('Größe')"
    done = subprocess.run(
        [sys.executable, "-c", code, "--version"],
        stdout=writer, stderr=subprocess.PIPE, env=os.environ | {"PYTHONIOENCODING": "ascii:strict"}, check=False,
    )  # fmt: skip
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, b"Gr\\xf6\\xdfe\n")


def test_a_run_folder_that_cannot_be_made_is_one_sentence(impasto: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    result = impasto("apply", "style=starry_night", "photo.jpg", "output_root=file/here")
    assert result.code == 2
    assert result.err.startswith(f"error: no run folder can be made in {tmp_path / 'file'}, which cannot be written")


def test_the_traceback_is_shown_where_hydra_shows_it(
    impasto: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HYDRA_FULL_ERROR", "0")
    result = impasto("report", "nothing")
    assert (result.code, result.err) == (1, "error: no such folder: nothing\n")


def test_an_unknown_command_is_refused_with_the_nearest(impasto: Callable[..., Any]) -> None:
    result = impasto("trian")
    assert (result.code, result.err) == (2, "error: unknown command 'trian'; did you mean 'train'?\n")


# ---------------------------------------------------------------- commands of two words


@pytest.mark.parametrize("arguments", [("study",), ("study", "--help"), ("study", "-h")])
def test_the_first_of_two_words_lists_the_second_ones(arguments: tuple[str, ...], impasto: Callable[..., Any]) -> None:
    result = impasto(*arguments)
    assert (result.code, result.err) == (0, "")
    expected = [command for command in COMMANDS if command.startswith("study ")]
    assert len(expected) >= 4
    assert [line.split()[:3] for line in result.out.splitlines()] == [["impasto", *c.split()] for c in expected]
    assert "The raters' web page" in result.out


def test_a_misspelt_second_word_is_refused_with_the_nearest(impasto: Callable[..., Any]) -> None:
    result = impasto("study", "crate", "photos")
    assert result.code == 2
    assert result.err.startswith("error: unknown command 'study crate'; did you mean 'create'?")
    assert result.err.count("\n") == 1


@pytest.mark.parametrize("words", [("studdy", "create"), ("stud",), ("Study", "create")])
def test_a_misspelt_first_word_is_refused(words: tuple[str, ...], impasto: Callable[..., Any]) -> None:
    result = impasto(*words)
    assert result.code == 2 and result.err == f"error: unknown command '{words[0]}'; did you mean 'study'?\n"


def test_help_of_two_words_tells_keys_choices_and_experiments(impasto: Callable[..., Any]) -> None:
    text = impasto("study", "create", "--help").out
    assert text.startswith("impasto study create [key=value ...]\n")
    for part in ("raters: 20", "question=:", "better", "natural", "iizuka2016_study"):
        assert part in text
    assert "quickstart" not in text  # which is another command's


def test_a_users_own_experiment_of_two_words_is_taken(impasto: Callable[..., Any], tmp_path: Any) -> None:
    (tmp_path / "mine" / "experiment").mkdir(parents=True)
    text = "# @package _global_\n# study create: my own\nraters: 77\n"
    (tmp_path / "mine" / "experiment" / "my_study.yaml").write_text(text)
    result = impasto("study", "create", "--config-dir", "mine", "experiment=my_study", "--cfg", "job")
    assert result.code == 0 and "raters: 77" in result.out, result.err


def test_cfg_job_prints_the_configuration_and_runs_nothing(impasto: Callable[..., Any]) -> None:
    result = impasto("train", "style=great_wave", "--cfg", "job")
    assert result.code == 0
    assert "title: The Great Wave off Kanagawa" in result.out
    assert "run folder" not in result.out


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("impasto tr", "train"),
        ("impasto train style=starry", "style=starry_night"),
        ("impasto apply style=great", "style=great_wave"),
        ("impasto train trainer.max_st", "trainer.max_steps="),
        ("impasto st", "study"),
        ("impasto study ", "create"),
        ("impasto study an", "analyse"),
        ("impasto study create question=", "question=better"),
        ("impasto study create rule.least_c", "rule.least_catches="),
        ("impasto study analyse se", "seed="),
    ],
)
def test_the_shell_completes(
    line: str, expected: str, impasto: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COMP_LINE", line)
    monkeypatch.setenv("COMP_POINT", str(len(line)))
    assert expected in impasto("-sc", "query=bash").out.split()


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("impasto study a", ["analyse"]),
        ("impasto stu", ["study"]),
        ("impasto study", ["study"]),
        ("impasto study xyz", []),
        ("impasto xyz ", []),
        ("impasto tr", ["train"]),
    ],
)
def test_the_shell_completes_one_word_at_a_time(
    line: str, expected: list[str], impasto: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COMP_LINE", line)
    assert impasto("-sc", "query=bash").out.split() == expected


def test_the_shell_completion_can_be_installed(impasto: Callable[..., Any]) -> None:
    assert "complete -o nospace" in impasto("-sc", "install=bash").out


def test_a_users_own_configuration_is_taken(impasto: Callable[..., Any], tmp_path: Any) -> None:
    (tmp_path / "mine" / "style").mkdir(parents=True)
    keys = "name: my_wave, title: My Wave, painter: I, year: '2026', rights: mine, source: '', file: null, draw: null"
    painting = f"{{_target_: impasto.styles.Style, {keys}, path: wave.jpg}}"
    (tmp_path / "mine" / "style" / "my_wave.yaml").write_text(painting)
    result = impasto("train", "--config-dir", "mine", "style=my_wave", "--cfg", "job")
    assert "title: My Wave" in result.out, result.err
