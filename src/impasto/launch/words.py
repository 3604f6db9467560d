"""The words behind a command, made safe for Hydra's grammar: bare file names, paths, `resume`, `<group>=none`."""

import json
import os
import re
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from impasto.listing import TAKEN
from impasto.run_folders import RunFolder
from impasto.suggest import did_you_mean

_BARE = ("images", "runs", "study")  # the keys that bare names are meant for; only one name for a study
_CONFIG_DIR = ("--config-dir", "-cd")
_WITH_VALUE = (*_CONFIG_DIR, "--cfg", "-c", "--package", "-p", "--info", "-i", "--config-path", "-cp")


def prepare_arguments(conf: Path, command: str, arguments: Sequence[str]) -> list[str]:
    """Return arguments for Hydra, which wants its flags together: of words as the shell gave them.

    Bare names, and all behind `--`, become `images=[...]`, `runs=[...]` or `study=`; paths that Hydra cannot read are
    quoted, and `resume` points at its run.
    """
    flags, words, files = part(arguments)
    keys, overrides, bare = top_level_keys(conf, command), [], []
    for word in words:
        key, equals, value = word.partition("=")
        known = equals and first_key(key) in keys
        # A shell's *.png may well bring a file such as style=x.png.
        is_image = "images" in keys and Path(word).suffix.lower() in TAKEN and os.path.isfile(word)  # noqa: PTH113
        if is_image or not (known or ((equals or word.startswith("~")) and not _exists(word))):
            bare.append(word)
        elif value in ("none", "null") and (conf / key).is_dir():
            overrides.append(f"~{key}")  # as Hydra spells that nothing is chosen of a group
        else:
            overrides.append(_quote_value(word))
    if bare or files:
        overrides.append(_bare(command, keys, [*bare, *files], overrides))
    if resumed := _resume_options(overrides):
        # Hydra shall take keys that the command's defaults lack: the run has its own, and refuses all others.
        kept = [w for w in overrides if w[0] in "+~" or (k := w.partition("=")[0]) == "resume" or (conf / k).is_dir()]
        overrides = [word if word in kept else f"++{word}" for word in overrides]
    return [*flags, *overrides, *resumed]


def part(arguments: Sequence[str]) -> tuple[list[str], list[str], list[str]]:
    """Part the words behind a command: Hydra's flags with their values, all others, and files behind `--`."""
    flags, words, left = [], [], iter(arguments)
    for word in left:
        if word == "--":
            break
        if word.startswith("-"):
            flag, _, value = word.partition("=")
            flags += [flag, value] if value else [flag]
            if not value and flag in _WITH_VALUE:
                flags += list(islice(left, 1))
        else:
            words.append(word)
    return flags, words, list(left)


def config_dir(flags: Sequence[str]) -> Path | None:
    """Return the folder of the user's own configuration, which `--config-dir` names."""
    place = next((index for index, flag in enumerate(flags) if flag in _CONFIG_DIR), None)
    return None if place is None else Path(*flags[place + 1 : place + 2])


def top_level_keys(conf: Path, command: str) -> set[str]:
    """Return the keys and groups of a command, read off its file and those that it begins with."""
    config: Any = OmegaConf.load(conf / f"{command}.yaml")
    keys = {str(key) for key in config} - {"defaults"}
    for entry in config.get("defaults", []):
        if OmegaConf.is_config(entry):
            keys |= {str(group).split("@")[0] for group in entry if not str(group).startswith("override ")}
        elif entry != "_self_":
            keys |= top_level_keys(conf, entry)
    return keys


def first_key(key: str) -> str:
    """Return what stands first in `key`, `key.below`, `group/below` or `group@package`."""
    return re.split(r"[.@/]", key.lstrip("+~"), maxsplit=1)[0]


def _bare(command: str, keys: set[str], names: list[str], overrides: Sequence[str]) -> str:
    key = next((key for key in _BARE if key in keys), None)
    if key is None:
        found = f"{command.replace('_', ' ')} takes no files; expected key=value, got '{names[0]}'"
        raise ValueError(f"{found}{did_you_mean(names[0], keys)}")
    if any(o.startswith(f"{key}=") for o in overrides):
        raise ValueError(f"give files bare or as {key}=..., not both (got '{names[0]}' beside {key}=)")
    if key == "study" and len(names) > 1:
        raise ValueError(f"expected one {key}, got {', '.join(names)}")
    return f"study={quote(names[0])}" if key == "study" else f"{key}=[{','.join(map(quote, names))}]"


def quote(text: str) -> str:
    """Quote any text as a string of Hydra's grammar that OmegaConf takes literally."""
    literal = re.sub(r"(\\*)\$\{", lambda m: m[1] * 2 + "\\${", text)  # OmegaConf's own escape
    escaped = re.sub(r"(\\*)('|$)", lambda m: m[1] * 2 + ("\\'" if m[2] else ""), literal)
    return f"'{escaped}'"


def _exists(text: str) -> bool:
    return os.path.exists(text)  # noqa: PTH110 (a text too long to be a name is no file; Path.exists raises)


def _quote_value(word: str) -> str:
    """Quote the value of `key=value` where it is a path that Hydra's grammar cannot read as it stands."""
    key, equals, value = word.partition("=")
    try:
        parsed = OverridesParser.create().parse_override(word)
        plain = not _exists(value) or str(parsed.value()) == value
    except HydraException:
        if value.startswith(("[", "{")):
            return f"{key}={_spelled(value)}"
        plain = False
    return word if plain or not value else f"{key}{equals}{quote(value)}"


def _spelled(value: str) -> str:
    """Let OmegaConf read a list or a mapping, as YAML, whose names are beyond Hydra's grammar: `{Größe: 1}`."""
    spaced = re.sub(r"""("[^"]*"|'[^']*')|:(?![\s/\\])""", lambda m: m[1] or ": ", value)
    try:
        text = json.dumps(OmegaConf.to_container(OmegaConf.create(spaced)))
    except (YAMLError, OmegaConfBaseException):
        return value  # a list that is not closed is refused as it stands
    for special, code in {"\\\\": "005c", '\\"': "0022", "'": "0027", "$": "0024"}.items():  # of the two grammars
        text = text.replace(special, f"\\u{code}")
    return "\"${oc.create:'" + text.replace('"', '\\"') + "'}\""


def _resume_options(overrides: Sequence[str]) -> list[str]:
    """A resumed run writes into its own folder, and leaves Hydra's record of its first start alone."""
    given = [override.value() for override in parse([o for o in overrides if o.startswith("resume=")])]
    folder = next((Path(str(value)).expanduser().resolve() for value in given if value is not None), None)
    if folder is None:
        return []
    if not RunFolder(folder).config_file.is_file():
        raise FileNotFoundError(f"resume={folder} is no run folder: it has no config.yaml")
    return [f"hydra.run.dir={quote(str(folder))}", "hydra.output_subdir=null"]


def parse(overrides: Sequence[str]) -> list[Override]:
    """Read words as overrides of Hydra's grammar; a ValueError says how to quote one that is none."""
    parser = OverridesParser.create()
    parsed = []
    for text in overrides:
        try:
            parsed.append(parser.parse_override(text))
        except HydraException as error:  # OverrideParseException, and the lexer's own
            advice = "a value with spaces, commas, brackets or '=' needs quotes inside the shell's: key=\"'a, b'\""
            if not text.partition("=")[0].isascii():
                advice = "a key has the letters a to z; other names go into braces, as in methods={Größe: photograph}"
            raise ValueError(f"cannot read '{text}' as key=value; {advice}") from error
    return parsed
