"""The command line itself: lists, help, version, completion, and its speed of import."""

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from impasto.cli import COMMANDS, conf_dir
from impasto.commands.help import choices


def test_impasto_alone_lists_commands_experiments_and_styles(impasto: Callable[..., Any]) -> None:
    text = impasto().out
    for name in [*COMMANDS, *choices(conf_dir(), "experiment"), *choices(conf_dir(), "style")]:
        line = next(line for line in text.splitlines() if line.startswith(f"  {name} "))
        assert len(line.split(maxsplit=1)[1]) > 10
    assert impasto("--help").out == text


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_has_help(command: str, impasto: Callable[..., Any]) -> None:
    assert f"impasto {command}" in impasto(command, "--help").out


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; sys.argv = ['impasto', '--help']; from impasto.cli import main; main(); print(sorted(sys.modules))"
    )
    modules = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert not [name for name in ("torch", "hydra", "lightning", "numpy", "wandb") if f"'{name}'" in modules]


def test_version(impasto: Callable[..., Any]) -> None:
    from impasto import __version__

    assert impasto("--version").out == f"impasto {__version__}\n"


def test_an_unknown_command_is_refused_with_the_nearest(impasto: Callable[..., Any]) -> None:
    result = impasto("trian")
    assert (result.code, result.err) == (2, "error: unknown command 'trian'; did you mean 'train'?\n")


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
    ],
)
def test_the_shell_completes(
    line: str, expected: str, impasto: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COMP_LINE", line)
    monkeypatch.setenv("COMP_POINT", str(len(line)))
    assert expected in impasto("-sc", "query=bash").out.split()


def test_the_shell_completion_can_be_installed(impasto: Callable[..., Any]) -> None:
    assert "complete -o nospace" in impasto("-sc", "install=bash").out


def test_a_users_own_configuration_is_taken(impasto: Callable[..., Any], tmp_path: Any) -> None:
    (tmp_path / "mine" / "style").mkdir(parents=True)
    painting = (conf_dir() / "style" / "great_wave.yaml").read_text().replace("The Great Wave", "My Wave")
    (tmp_path / "mine" / "style" / "my_wave.yaml").write_text(painting)
    result = impasto("train", "--config-dir", "mine", "style=my_wave", "--cfg", "job")
    assert "title: My Wave off Kanagawa" in result.out, result.err
