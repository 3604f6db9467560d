"""The command line: `impasto <command> key=value ...`. Heavy imports wait until a command runs."""

import sys
from pathlib import Path

from impasto.launch.start import complete, fail, run_hydra, start, write_without_fail
from impasto.suggest import did_you_mean

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


def conf_dir() -> Path:
    """Return the folder of the configuration: the checkout's, or the one installed with the package."""
    package = Path(__file__).resolve().parent
    checkout = package.parents[1] / "conf"
    return checkout if (checkout / "base.yaml").is_file() else package / "conf"


def config_name(command: str) -> str:
    """Return the name of a command's configuration and module: `"study_create"` for `study create`."""
    return command.replace(" ", "_")


def main() -> None:
    """Run the command that `sys.argv` names; end the process with 0, 1 (failed), 2 (misuse) or 130 (interrupted)."""
    write_without_fail()
    arguments = sys.argv[1:]
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        from impasto.launch.help import overview

        sys.stdout.write(overview(conf_dir(), COMMANDS))
    elif arguments[0] in ("-V", "--version"):
        from impasto import __version__

        sys.stdout.write(f"impasto {__version__}\n")
    elif arguments[0] == "--config-name":  # a child of distributed training, started from what `start` left in sys.argv
        run_hydra(conf_dir())  # IMPASTO_RUN_ID and IMPASTO_START it inherits
    elif arguments[0] in ("-sc", "--shell-completion"):
        complete(conf_dir(), {command: config_name(command) for command in COMMANDS}, arguments)
    else:
        command, words = _command(arguments)
        if "--help" in words or "-h" in words:
            from impasto.launch.help import command_help

            sys.stdout.write(command_help(conf_dir(), command))
        else:
            start(conf_dir(), command, words)


def _command(words: list[str]) -> tuple[str, list[str]]:
    """Split the command line into the configuration's name and what stands behind the command's one or two words."""
    for count in (2, 1):
        if (command := " ".join(words[:count])) in COMMANDS:
            return config_name(command), words[count:]
    parts = {command: line for command, line in COMMANDS.items() if command.startswith(f"{words[0]} ")}
    if not parts:
        firsts = [command.split(" ")[0] for command in COMMANDS]
        fail(f"unknown command '{words[0]}'{did_you_mean(words[0], firsts)}", 2)
    second = words[1] if len(words) > 1 else "--help"
    if second not in ("-h", "--help"):
        names = [command.split(" ")[1] for command in parts]
        fail(f"unknown command '{words[0]} {second}'{did_you_mean(second, names)}", 2)
    sys.stdout.write("".join(f"impasto {command:<16}{line}\n" for command, line in parts.items()))
    raise SystemExit(0)


if __name__ == "__main__":
    main()
