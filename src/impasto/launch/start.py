"""The start and the end of the process: arguments checked, Hydra started, a failure as one line and an exit code."""

import io
import logging
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any, NoReturn

from impasto.group import rank
from impasto.redaction import Shown, without_secrets

log = logging.getLogger(__name__)


def start(conf: Path, command: str, arguments: Sequence[str]) -> None:
    """Run a command with arguments as the shell gave them; the environment's IMPASTO_CONFIG_DIR is --config-dir."""
    from impasto.launch.agreement import join_run
    from impasto.launch.composition import check_arguments
    from impasto.launch.words import config_dir, part, prepare_arguments

    own = os.environ.get("IMPASTO_CONFIG_DIR")
    if own and config_dir(part(arguments)[0]) is None:
        arguments = ["--config-dir", own, *arguments]
    try:
        arguments = prepare_arguments(conf, command, arguments)
        check_arguments(conf, command, arguments)
        arguments = join_run(conf, command, arguments)
    except (ValueError, OSError) as error:
        fail(str(error), 2)
    # In place: children of distributed training are started from sys.argv.
    sys.argv[1:] = ["--config-name", command, *arguments]
    run_hydra(conf)


def run_hydra(conf: Path) -> None:
    """Let Hydra run the job or jobs that `sys.argv` names."""
    import hydra

    from impasto.launch.composition import store_choices
    from impasto.launch.job import job

    store_choices(conf)
    if number := rank():  # it logs to a file of its own, and to nothing else
        sys.argv += [
            "hydra.job_logging.root.handlers=[file]",
            "hydra/hydra_logging=none",
            "hydra.output_subdir=null",
            f"hydra.job.name=impasto_rank{number}",
        ]
    if "hydra/launcher=joblib" in sys.argv:  # its processes hear Ctrl-C, too, and save; joblib would kill them
        signal.signal(signal.SIGINT, lambda *_: signal.signal(signal.SIGINT, signal.default_int_handler))
    shown: list[Any] = [Shown(sys.stdout), Shown(sys.stderr)]
    try:
        with redirect_stdout(shown[0]), redirect_stderr(shown[1]):
            hydra.main(version_base="1.3", config_path=str(conf), config_name="train")(job)()
    except KeyboardInterrupt:  # while it waited for other processes' jobs
        fail("interrupted", 130)


def complete(conf: Path, commands: dict[str, str], arguments: Sequence[str]) -> None:
    """Answer the shell's completion of `impasto <command> ...`: as Hydra does, the command left out of the line."""
    words = os.environ.get("COMP_LINE", "").split(" ")
    command = next((c for n in (2, 1) if (c := " ".join(words[1 : n + 1])) in commands and len(words) > n + 1), None)
    if command is not None:
        os.environ["COMP_LINE"] = " ".join([words[0], *words[1 + len(command.split(" ")) :]])
        sys.argv[1:] = ["--config-name", commands[command], *arguments]
    if command is not None or not any(a.startswith("query=") for a in arguments):  # else: install or uninstall
        return run_hydra(conf)
    names = [name.split(" ") for name in commands if name.startswith(" ".join(words[1:]))]
    place = len(words) - 2
    sys.stdout.write(" ".join(dict.fromkeys(name[place] for name in names if len(name) > place)) + "\n")


def fail(message: str, code: int) -> NoReturn:
    """End the process with a line on standard error, and with 1 (failed), 2 (misuse) or 130 (interrupted)."""
    message = without_secrets(message)
    if not (number := rank()):
        sys.stderr.write(f"{'' if code == 130 else 'error: '}{message}\n")
        raise SystemExit(code)
    if code == 1:  # the others of a group are as wrong and as interrupted as the first, but each may fail alone
        sys.stderr.write(f"error in process {number}: {message}\n")
        log.error("error: %s", message)
    # Whoever started them kills the first, which still writes its record, as soon as another does not end with 0.
    raise SystemExit(0 if code == 130 else code)


class _Output(io.FileIO):
    def write(self, data: Any) -> int:  # noqa: ANN401 (any buffer)
        try:
            return super().write(data)
        except BrokenPipeError:
            return memoryview(data).nbytes


def write_without_fail() -> None:
    """Let no reader that has gone (`| head`) and no character that a terminal lacks end the work."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if isinstance(stream, io.TextIOWrapper) and stream is getattr(sys, f"__{name}__"):
            raw = io.BufferedWriter(_Output(stream.fileno(), "w", closefd=False))
            safe = io.TextIOWrapper(raw, encoding=stream.encoding, errors="backslashreplace", line_buffering=True)
            setattr(sys, name, safe)
