"""The words behind a command: made safe for Hydra's grammar, and refused with the nearest right word when misspelt."""

import itertools
import os
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.object_type import ObjectType
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Glob, IntervalSweep, Override
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from impasto.commands.help import experiment_command
from impasto.listing import SUFFIXES
from impasto.suggest import did_you_mean

Options = Callable[[str], list[str]]  # from a configuration group to its choices
_FLAGS_WITH_VALUE = ("--config-dir", "-cd", "--cfg", "-c", "--package", "-p", "--info", "-i", "--config-path", "-cp")


def prepare_arguments(conf: Path, command: str, arguments: Sequence[str]) -> list[str]:
    """Turn bare file names into `images=[...]`, quote paths that Hydra cannot read, point `resume` at its run.

    Args:
        conf: the configuration folder.
        command: its name.
        arguments: as the shell gave them; behind `--` everything is a file.

    Returns:
        Arguments for Hydra.

    Raises:
        ValueError: files for a command that takes none.
        FileNotFoundError: `resume` names no run folder.
    """
    keys = _top_level_keys(conf, command)
    flags, overrides, files = [], [], []
    words = iter(arguments)
    for word in words:
        if word == "--":
            files += list(words)
        elif word.startswith("-"):
            word, _, value = word.partition("=")
            flags += [word, value] if value else [word]
            if not value and word in _FLAGS_WITH_VALUE:
                flags += list(itertools.islice(words, 1))
        elif _is_override(word, keys) and not ("images" in keys and _is_image_file(word)):
            overrides.append(_quote_value(word))
        else:
            files.append(word)
    if files and "images" not in keys:
        raise ValueError(
            f"{command} takes no files; expected key=value, got '{files[0]}'{did_you_mean(files[0], keys)}"
        )
    if files and any(o.startswith("images=") for o in overrides):
        raise ValueError(f"give files bare or as images=..., not both (got '{files[0]}' beside images=)")
    if files:
        overrides.append(f"images=[{','.join(quote(name) for name in files)}]")
    resumed = _resume_options(overrides)
    if resumed:  # Hydra shall take keys that the command's defaults lack: the run has its own, and refuses all others
        kept = {path.name for path in conf.iterdir()} | {"resume"}
        overrides = [o if o.startswith(("+", "~")) or o.partition("=")[0] in kept else f"++{o}" for o in overrides]
    return [*flags, *overrides, *resumed]  # Hydra wants its flags together


def quote(text: str) -> str:
    """Quote any text as a string of Hydra's grammar that OmegaConf takes literally."""
    literal = re.sub(r"(\\*)\$\{", lambda m: m[1] * 2 + "\\${", text)  # OmegaConf's own escape
    escaped = re.sub(r"(\\*)('|$)", lambda m: m[1] * 2 + ("\\'" if m[2] else ""), literal)
    return f"'{escaped}'"


def _top_level_keys(conf: Path, command: str) -> set[str]:
    """Keys and groups of a command, read without composing it."""
    keys = {path.name for path in conf.iterdir() if path.is_dir()}
    for name in (command, "base"):
        keys |= {str(key) for key in OmegaConf.load(conf / f"{name}.yaml")}
    return keys - {"defaults"}


def _is_override(word: str, keys: set[str]) -> bool:
    key, equals, _ = word.partition("=")
    if word.startswith("~"):
        return not _exists(word)
    if not equals:
        return False
    known = key.lstrip("+").split(".")[0].split("@")[0].split("/")[0]
    return known in keys or not _exists(word)


def _exists(text: str) -> bool:
    return os.path.exists(text)  # noqa: PTH110 (a text too long to be a name is no file; Path.exists raises)


def _is_image_file(word: str) -> bool:
    """A file such as `style=x.png`, which a shell's `*.png` may well bring."""
    return Path(word).suffix.lower() in SUFFIXES and Path(word).is_file()


def _quote_value(word: str) -> str:
    """Quote the value of `key=value` where it is a path that Hydra's grammar cannot read as it stands."""
    key, equals, value = word.partition("=")
    try:
        parsed = OverridesParser.create().parse_override(word)
        plain = not _exists(value) or str(parsed.value()) == value
    except HydraException:
        plain = value.startswith(("[", "{"))  # a list that is not closed is no path
    return word if plain or not value else f"{key}{equals}{quote(value)}"


def _resume_options(overrides: Sequence[str]) -> list[str]:
    """A resumed run writes into its own folder, and leaves Hydra's record of its first start alone."""
    for override in _parse([o for o in overrides if o.startswith("resume=")]):
        folder = Path(str(override.value())).expanduser().resolve()
        if override.value() is None:
            continue
        if not (folder / "config.yaml").is_file():
            raise FileNotFoundError(f"resume={folder} is no run folder: it has no config.yaml")
        return [f"hydra.run.dir={quote(str(folder))}", "hydra.output_subdir=null"]
    return []


def check_arguments(conf: Path, command: str, arguments: Sequence[str]) -> None:
    """Compose the configuration once to see that every word is right.

    Args:
        conf: the configuration folder.
        command: its name.
        arguments: as `prepare_arguments` returns them.

    Raises:
        ValueError: a misspelt key, group or choice, also behind `+`; names the nearest right one.
    """
    overrides, extra, multirun = [], "", False
    words = iter(arguments)
    for word in words:
        if word in ("--config-dir", "-cd"):
            extra = next(words, "")
            if not Path(extra).is_dir():
                raise ValueError(f"--config-dir {extra} is no folder")
        elif word in _FLAGS_WITH_VALUE:
            next(words, "")
        elif word in ("--multirun", "-m"):
            multirun = True
        elif not word.startswith("-"):
            overrides.append(word)
    parsed = _parse(overrides)
    for override in parsed:
        if override.is_sweep_override() and not multirun:
            raise ValueError(f"{override.input_line} names several values; add --multirun to run one after the other")
    search = [f"hydra.searchpath=[{quote('file://' + str(Path(extra).resolve()))}]"] if extra else []
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(conf), version_base="1.3", job_name="impasto"):
        loader = GlobalHydra.instance().config_loader()

        def options(group: str) -> list[str]:
            own = Path(extra, group).glob("*.yaml") if extra else ()
            return [*loader.get_group_options(group, ObjectType.CONFIG), *(path.stem for path in own)]

        reference = compose(command, [*search])
        try:
            for variant in _variants(parsed):
                _check_experiment(conf, command, variant)
                _check_variant(command, search, variant, reference, options)
        except (HydraException, OmegaConfBaseException) as error:
            raise ValueError(" ".join(str(error.__cause__ or error).split())) from error


def _parse(overrides: Sequence[str]) -> list[Override]:
    parser = OverridesParser.create()
    parsed = []
    for text in overrides:
        try:
            parsed.append(parser.parse_override(text))
        except HydraException as error:  # OverrideParseException, and the lexer's own
            raise ValueError(
                f"cannot read '{text}' as key=value; a value with spaces, commas, brackets or '=' needs quotes inside "
                f"the shell's, as in key=\"'a, b'\""
            ) from error
    return parsed


def _variants(parsed: list[Override]) -> Iterator[list[Override]]:
    """Every value of a sweep once, beside the first values of the others."""
    parser = OverridesParser.create()
    choices = [
        [parser.parse_override(f"{o.get_key_element()}={value}") for value in o.sweep_string_iterator()]
        if o.is_sweep_override()
        else [o]
        for o in parsed
        if not isinstance(o.value(), Glob | IntervalSweep)  # only their sweeper can list those
    ]
    yield [values[0] for values in choices]
    for index, values in enumerate(choices):
        for value in values[1:]:
            yield [value if i == index else other[0] for i, other in enumerate(choices)]


def _check_variant(
    command: str, search: list[str], overrides: list[Override], reference: DictConfig, options: Options
) -> None:
    texts = [str(o.input_line) for o in overrides]
    for override in overrides:
        _check_choice(override, options)
    groups = [str(o.input_line) for o in overrides if _is_group(o, options)]
    known = compose(command, [*search, *groups], return_hydra_config=True)
    for override in overrides:
        if not _is_group(override, options):
            _check_key(override, known)
    composed = compose(command, [*search, *texts])
    for key in map(str, composed):
        if key not in reference:
            raise ValueError(f"unknown key '{key}' in the configuration{did_you_mean(key, map(str, reference))}")


def _check_experiment(conf: Path, command: str, overrides: list[Override]) -> None:
    for override in overrides:
        name = override.value()
        if override.key_or_group == "experiment" and (conf / "experiment" / f"{name}.yaml").is_file():
            owner = experiment_command(conf, str(name))
            if owner not in (None, command):
                raise ValueError(f"experiment={name} is one of 'impasto {owner}', not of 'impasto {command}'")


def _is_group(override: Override, options: Options) -> bool:
    return bool(options(override.key_or_group))


def _check_choice(override: Override, options: Options) -> None:
    group, value = override.key_or_group, override.value()
    if not _is_group(override, options) or not isinstance(value, str) or override.is_delete():
        return
    if value not in options(group):
        raise ValueError(f"{group} has no '{value}'{did_you_mean(value, options(group))}")


def _check_key(override: Override, known: DictConfig) -> None:
    """Refuse a key that is not there; within a `_target_`, `+` may add one, which the target refuses if it is wrong."""
    path = override.key_or_group.split(".")
    node: object = known
    may_add = False
    for depth, part in enumerate(path):
        if not isinstance(node, DictConfig):
            raise ValueError(f"unknown key '{override.key_or_group}': {'.'.join(path[:depth])} is a value")
        if node._is_none():
            return
        may_add = may_add or "_target_" in node
        if part not in list(node):  # not `in node`, which is false for a value that is still to be given
            if (override.is_add() or override.is_force_add()) and may_add:
                return
            names = [".".join([*path[:depth], str(name)]) for name in node]
            wrong = ".".join(path[: depth + 1])
            raise ValueError(f"unknown key or group '{wrong}'{did_you_mean(wrong, names)}")
        node = node._get_node(part)
