"""What `impasto` and `impasto <command> --help` print: read off the configuration, without Hydra."""

import json
import re
from collections.abc import Mapping
from pathlib import Path

_STYLIZERS = Path(__file__).parents[1] / "weights" / "stylizer"
_CHOICE = r"(?m)^# (.*)\n(\w+):$"  # in a file of several
_EXAMPLES = """
examples:
  impasto train                                          quickstart: one more style in minutes, no download
  impasto apply style=starry_night photo.jpg             a network that comes with the package
  impasto apply run=outputs/<date>/<run> photos/         one of your own
  impasto apply method=colorizer old.jpg                 a grey photograph in colour, and its scene
  impasto apply method=upscaler factor=4 small.png       four times larger
  impasto optimize style=starry_night photo.jpg          Gatys' optimisation: any style, minutes a picture
  impasto train resume=outputs/<date>/<run>              goes on where a run stopped
  impasto app                                            a web page to try it all

  impasto <command> --help      the choices of a command          impasto <command> --cfg job   its whole configuration
  eval "$(impasto -sc install=bash)"    shell completion          --config-dir mine             your own configuration
"""


def overview(conf: Path, commands: Mapping[str, str]) -> str:
    """Return the list of commands (with the names of their files), experiments and styles, with a line each."""
    shipped = {name for path in _STYLIZERS.glob("*.safetensors") for name in _painted_by(path)}
    paintings = {f"{name} *" if name in shipped else name: line for name, line in choices(conf, "style").items()}
    tables = {
        "commands": {command: summary(conf, name) for command, name in commands.items()},
        "experiments": choices(conf, "experiment"),
        "styles (apply paints in those with a *; train and optimize want the painting in data_root/styles)": paintings,
    }
    parts = [_table(title, rows) for title, rows in tables.items()]
    return "\n".join(["impasto: networks judged by perceptual losses\n", *parts]) + _EXAMPLES


def _painted_by(path: Path) -> list[str]:
    """The styles of a shipped network, without importing a library."""
    with path.open("rb") as file:  # safetensors: the length of the header, then the header
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
    card = json.loads(header["__metadata__"]["impasto"])
    return [style["name"] for style in card.get("styles", [])] or [path.stem]


def command_help(conf: Path, command: str) -> str:
    """Return a command's keys with their comments, and the choices of its groups."""
    text = (conf / f"{command}.yaml").read_text(encoding="utf-8")
    name, tables = command.replace("_", " "), []
    for group in (line.split(":")[0].strip(" -") for line in text.splitlines() if re.match("  - .*:", line)):
        if "override" not in group:
            rows = choices(conf, group)
            if group == "experiment":
                owned = {key: line for key, line in rows.items() if experiment_command(conf, key) == command}
                rows = {key: line.removeprefix(f"{name}: ") for key, line in owned.items()}
            tables.append(_table(f"{group}=", rows))
    return f"impasto {name} [key=value ...]\n\n{text}\n" + "\n".join(tables)


def choices(conf: Path, group: str) -> dict[str, str]:
    """List the choices of a configuration group, each with its comment: a file, or a key of the group's _all.yaml."""
    folder = conf / group.split("@")[0]
    found = {path.stem: summary(folder, path.stem) for path in folder.glob("[!_]*.yaml")}
    for together in folder.glob("_all.yaml"):
        found |= {name: line for line, name in re.findall(_CHOICE, together.read_text(encoding="utf-8"))}
    return dict(sorted(found.items()))


def experiment_command(conf: Path, experiment: str) -> str | None:
    """Return the command that an experiment is for, which its first line names; None where it names none."""
    command = summary(conf / "experiment", experiment).split(":")[0].replace(" ", "_")
    return command if command.isidentifier() and (conf / f"{command}.yaml").is_file() else None


def summary(folder: Path, name: str) -> str:
    """Return the first comment of a file of conf/, which says what it is."""
    lines = (folder / f"{name}.yaml").read_text(encoding="utf-8").splitlines()
    return next((line[2:].strip() for line in lines if re.match("# (?!@package|yaml-language-server)", line)), "")


def _table(title: str, rows: Mapping[str, str]) -> str:
    width = max((len(name) for name in rows), default=0) + 2
    return "\n".join([f"{title}:", *(f"  {name:<{width}}{text}" for name, text in rows.items()), ""])
