"""What the tests share: the command line run in this process, and the real data where it is."""

import logging
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")  # the tests' images are small: a second thread mostly waits
os.environ["IMPASTO_CONFIG_DIR"] = str(Path(__file__).parent / "conf")  # smoke_*, for this process and those it starts


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """What engines remember must not come from the machine's user, nor stay with them."""
    os.environ["XDG_CACHE_HOME"] = str(tmp_path_factory.mktemp("cache"))


class Result(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def folder(self) -> Path:
        """The run folder that the command printed."""
        lines = [line for line in self.out.splitlines() if line.startswith("run folder: ")]
        return Path(lines[-1].removeprefix("run folder: "))


@pytest.fixture
def impasto(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Callable[..., Result]]:
    """Run `impasto <arguments>` in this process and in an empty folder."""
    monkeypatch.chdir(tmp_path)
    for name in ("IMPASTO_RUN_ID", "WANDB_DATA_DIR"):
        monkeypatch.setenv(name, os.environ.get(name, ""))
    monkeypatch.delenv("WANDB_MODE", raising=False)
    monkeypatch.setenv("WANDB_SILENT", "true")

    def run(*arguments: str) -> Result:
        from impasto.cli import main

        monkeypatch.setattr(sys, "argv", ["impasto", *arguments])
        capsys.readouterr()
        code = 0
        if "absl.logging" in sys.modules:  # which the exporters import; it would close pytest's stream as its own
            sys.modules["absl.logging"].get_absl_handler().python_handler.stream = sys.__stderr__
        try:
            main()
        except SystemExit as end:
            code = int(end.code or 0)
        finally:
            _forget_log_files()
        captured = capsys.readouterr()
        return Result(code, captured.out, captured.err)

    yield run
    if "wandb" in sys.modules:
        sys.modules["wandb"].teardown()


def _forget_log_files() -> None:
    root = logging.getLogger()
    for handler in list(root.handlers):
        if type(handler) in (logging.FileHandler, logging.StreamHandler):
            root.removeHandler(handler)
            handler.close()


@pytest.fixture
def real_data() -> Path:
    """The folder of real photographs and weights that IMPASTO_DATA names."""
    if not os.environ.get("IMPASTO_DATA"):
        pytest.skip("IMPASTO_DATA is not set: no real photographs and weights on this machine")
    return Path(os.environ["IMPASTO_DATA"]).resolve()
