"""The command line: `impasto <command> key=value ...`. Heavy imports wait until a command runs."""

import gc
import sys
from pathlib import Path

from impasto.launch.help import command_help, overview, summary
from impasto.launch.start import complete, fail, run_hydra, start, write_without_fail
from impasto.suggest import did_you_mean

_COMMANDS = (  # in the order of the overview; what each is for is the first line of its file in conf/
    *("train", "apply", "export", "optimize", "benchmark", "evaluate", "pack", "sweep", "verify"),
    *("study create", "study serve", "study simulate", "study analyse", "report", "app", "dashboard"),
)
COMMANDS = {command: command.replace(" ", "_") for command in _COMMANDS}  # with the name of its file and module


def conf_dir() -> Path:
    """Return the folder of the configuration: the checkout's, or the one installed with the package."""
    package = Path(__file__).resolve().parent
    checkout = package.parents[1] / "conf"
    return checkout if (checkout / "base.yaml").is_file() else package / "conf"


def main() -> None:
    """Run the command that `sys.argv` names; end the process with 0, 1 (failed), 2 (misuse) or 130 (interrupted)."""
    if "torch" not in sys.modules:
        gc.disable()  # until the job runs: it would go through all that imports make again and again, for half a second
    write_without_fail()
    arguments = sys.argv[1:]
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        sys.stdout.write(overview(conf_dir(), COMMANDS))
    elif arguments[0] in ("-V", "--version"):
        from impasto import __version__

        sys.stdout.write(f"impasto {__version__}\n")
    elif arguments[0] == "--config-name":  # a child of distributed training, started from what `start` left in sys.argv
        run_hydra(conf_dir())  # IMPASTO_RUN_ID and IMPASTO_START it inherits
    elif arguments[0] in ("-sc", "--shell-completion"):
        complete(conf_dir(), COMMANDS, arguments)
    else:
        command, words = _command(arguments)
        if "--help" in words or "-h" in words:
            sys.stdout.write(command_help(conf_dir(), command))
        else:
            start(conf_dir(), command, words)


def _command(words: list[str]) -> tuple[str, list[str]]:
    """Split the command line into the configuration's name and what stands behind the command's one or two words."""
    for count in (2, 1):
        if (command := " ".join(words[:count])) in COMMANDS:
            return COMMANDS[command], words[count:]
    seconds = [command.partition(" ")[2] for command in COMMANDS if command.startswith(f"{words[0]} ")]
    if seconds and words[1:2] in ([], ["-h"], ["--help"]):
        for name in seconds:
            sys.stdout.write(f"impasto {words[0]} {name:<10}{summary(conf_dir(), f'{words[0]}_{name}')}\n")
        raise SystemExit(0)
    given = words[:2] if seconds else words[:1]
    known = seconds or [command.split(" ")[0] for command in COMMANDS]
    fail(f"unknown command '{' '.join(given)}'{did_you_mean(given[-1], known)}", 2)


if __name__ == "__main__":
    main()
