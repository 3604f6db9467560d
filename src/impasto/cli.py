"""The command line: `impasto <command> key=value ...`. Heavy imports wait until a command runs."""

import io
import logging
import os
import signal
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any

from impasto.group import rank
from impasto.redaction import Shown, without_secrets
from impasto.suggest import did_you_mean

if TYPE_CHECKING:
    from omegaconf import DictConfig

log = logging.getLogger(__name__)

COMMANDS = {
    "train": "train a network on photographs, or go on with a run that stopped",
    "apply": "stylize, colour or enlarge photographs with a shipped network or one of your own",
    "export": "a trained network as a file that other programs run (ONNX, torch.export), with its card",
    "optimize": "paint photographs by optimising each image (Gatys): slow, any style, no training",
    "benchmark": "seconds on this machine: optimisation beside one pass, engines",
    "evaluate": "the papers' comparisons: what methods reach, as tables and plots",
    "pack": "photographs into shards, for data that outgrow a disk (data=shards)",
    "sweep": "search hyperparameters: trials that survive a kill, pruning, a page with the best",
    "verify": "list the broken and the grey photographs of a data set",
    "study create": "methods and photographs become a blinded study for raters",
    "study serve": "the raters' web page, on this machine",
    "study simulate": "answer a study with simulated raters, to try it before people do",
    "study analyse": "what the raters said: shares, strengths, tests, tables and plots",
    "report": "one HTML file of runs, multiruns and whole output folders; no network needed",
    "app": "a web page to try the shipped networks on a photograph",
    "dashboard": "show in a browser what logger=trackio has logged",
}


_INTERRUPTED = "IMPASTO_INTERRUPTED"  # in the environment of a process that does one job after the other for joblib


def conf_dir() -> Path:
    """Return the folder of the configuration: the checkout's, or the one installed with the package."""
    package = Path(__file__).resolve().parent
    checkout = package.parents[1] / "conf"
    return checkout if (checkout / "base.yaml").is_file() else package / "conf"


class _Output(io.FileIO):
    """Standard output or error. Where its reader has gone (`| head`), the work goes on all the same."""

    def write(self, data: Any) -> int:  # noqa: ANN401 (any buffer)
        """Write, or act as if."""
        try:
            return super().write(data)
        except BrokenPipeError:
            return memoryview(data).nbytes


def _write_without_fail() -> None:
    """Let no reader that has gone and no character that a terminal lacks end the work."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if isinstance(stream, io.TextIOWrapper) and stream is getattr(sys, f"__{name}__"):
            raw = io.BufferedWriter(_Output(stream.fileno(), "w", closefd=False))
            told = io.TextIOWrapper(raw, encoding=stream.encoding, errors="backslashreplace", line_buffering=True)
            setattr(sys, name, told)


def main() -> None:
    """Run the command that `sys.argv` names; end the process with 0, 1 (failed), 2 (misuse) or 130 (interrupted)."""
    _write_without_fail()
    arguments = sys.argv[1:]
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        from impasto.commands.help import overview

        sys.stdout.write(overview(conf_dir(), COMMANDS))
        return
    if arguments[0] in ("-V", "--version"):
        from impasto import __version__

        sys.stdout.write(f"impasto {__version__}\n")
        return
    if arguments[0] == "--config-name":  # a child of distributed training, started from what `_run` left in sys.argv
        _start_hydra()  # IMPASTO_RUN_ID and IMPASTO_START it inherits
        return
    if arguments[0] in ("-sc", "--shell-completion"):
        _complete(arguments)
        return
    _run(*_command(arguments))


def config_name(command: str) -> str:
    """Return the name of a command's configuration and module: `"study_create"` for `study create`."""
    return command.replace(" ", "_")


def _command(words: list[str]) -> tuple[str, list[str]]:
    """Split the command line into the configuration's name and what stands behind the command's one or two words."""
    for count in (2, 1):
        if (command := " ".join(words[:count])) in COMMANDS:
            return config_name(command), words[count:]
    parts = {command: line for command, line in COMMANDS.items() if command.startswith(f"{words[0]} ")}
    if not parts:
        firsts = [command.split(" ")[0] for command in COMMANDS]
        _fail(f"unknown command '{words[0]}'{did_you_mean(words[0], firsts)}", 2)
    second = words[1] if len(words) > 1 else "--help"
    if second not in ("-h", "--help"):
        names = [command.split(" ")[1] for command in parts]
        _fail(f"unknown command '{words[0]} {second}'{did_you_mean(second, names)}", 2)
    sys.stdout.write("".join(f"impasto {command:<16}{line}\n" for command, line in parts.items()))
    raise SystemExit(0)


def _run(command: str, arguments: list[str]) -> None:
    if "--help" in arguments or "-h" in arguments:
        from impasto.commands.help import command_help

        sys.stdout.write(command_help(conf_dir(), command))
        return
    from impasto.commands.agreement import join_run
    from impasto.commands.arguments import prepare_arguments
    from impasto.commands.checking import check_arguments

    try:
        arguments = prepare_arguments(conf_dir(), command, arguments)
        check_arguments(conf_dir(), command, arguments)
        arguments = join_run(conf_dir(), command, arguments)
    except (ValueError, OSError) as error:
        _fail(str(error), 2)
    # In place: children of distributed training are started from sys.argv.
    sys.argv[1:] = ["--config-name", command, *arguments]
    _start_hydra()


def _start_hydra() -> None:
    import hydra

    if number := rank():
        from impasto.commands.agreement import follower_words

        sys.argv += follower_words(number)
    if "hydra/launcher=joblib" in sys.argv:  # its processes hear Ctrl-C, too, and save; joblib would kill them
        signal.signal(signal.SIGINT, lambda *_: signal.signal(signal.SIGINT, signal.default_int_handler))
    try:
        shown: list[Any] = [Shown(sys.stdout), Shown(sys.stderr)]
        with redirect_stdout(shown[0]), redirect_stderr(shown[1]):
            hydra.main(version_base="1.3", config_path=str(conf_dir()), config_name="train")(job)()
    except KeyboardInterrupt:  # while it waited for other processes' jobs
        _fail("interrupted", 130)


def job(cfg: "DictConfig") -> None:
    """Run one job: Hydra's task function. Its errors become one sentence, and the run folder's status.

    Raises:
        SystemExit: it failed or was interrupted.
        CompactHydraException: it failed as one of several jobs; the others go on.
    """
    from hydra.core.hydra_config import HydraConfig
    from hydra.errors import CompactHydraException
    from hydra.types import RunMode

    from impasto.commands.job import run_job

    hydra_config = HydraConfig.get()
    if _INTERRUPTED in os.environ:
        raise CompactHydraException("not begun: the multirun was interrupted")
    message, code = run_job(cfg, str(hydra_config.job.config_name))
    message = without_secrets(message)
    if not code:
        return
    one_by_one = str(hydra_config.launcher._target_).endswith(".BasicLauncher")
    if hydra_config.mode == RunMode.MULTIRUN and (code != 130 or not one_by_one):
        if code == 130:  # the other jobs are still saving; those that this process would do next are left
            os.environ[_INTERRUPTED] = "1"
        log.error("%s%s", "" if code == 130 else "error: ", message)
        raise CompactHydraException(f"{'' if code == 130 else 'error: '}{message}")
    _fail(message, code)


def _complete(arguments: list[str]) -> None:
    """Answer Hydra's shell completion for `impasto <command> ...`: as if the command were not on the line."""
    words = os.environ.get("COMP_LINE", "").split(" ")
    if not any(a.startswith("query=") for a in arguments):  # install or uninstall
        _start_hydra()
        return
    for count in (2, 1):
        if (command := " ".join(words[1 : count + 1])) in COMMANDS and len(words) > count + 1:
            os.environ["COMP_LINE"] = " ".join([words[0], *words[count + 1 :]])
            sys.argv[1:] = ["--config-name", config_name(command), *arguments]
            _start_hydra()
            return
    place, begun = len(words) - 2, words[1:]
    names = [command.split(" ") for command in COMMANDS]
    fitting = [n[place] for n in names if len(n) > place and " ".join(n).startswith(" ".join(begun))]
    sys.stdout.write(" ".join(dict.fromkeys(fitting)) + "\n")


def _fail(message: str, code: int) -> None:
    message = without_secrets(message)
    if not (number := rank()):
        sys.stderr.write(f"{'' if code == 130 else 'error: '}{message}\n")
        raise SystemExit(code)
    if code == 1:  # the others of a group are as wrong and as interrupted as the first, but each may fail alone
        sys.stderr.write(f"error in process {number}: {message}\n")
        log.error("error: %s", message)
    # Whoever started them kills the first, which still writes its record, as soon as another does not end with 0.
    raise SystemExit(0 if code == 130 else code)


if __name__ == "__main__":
    main()
