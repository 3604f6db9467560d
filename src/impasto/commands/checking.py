"""The overrides behind a command composed once before the run: every word must be one that the configuration has."""

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.object_type import ObjectType
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Glob, IntervalSweep, Override
from hydra.errors import HydraException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from impasto.commands.arguments import FLAGS_WITH_VALUE, parse, quote
from impasto.commands.help import experiment_command
from impasto.suggest import did_you_mean

Options = Callable[[str], list[str]]  # from a configuration group to its choices
_LAUNCHERS = ("joblib", "submitit_local", "submitit_slurm")  # Hydra's plugins that bring more launchers


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
        elif word in FLAGS_WITH_VALUE:
            next(words, "")
        elif word in ("--multirun", "-m"):
            multirun = True
        elif not word.startswith("-"):
            overrides.append(word)
    parsed = parse(overrides)
    for override in parsed:
        if override.is_sweep_override() and not multirun:
            raise ValueError(f"{override.input_line} names several values; add --multirun to run one after the other")
    _check_output(parsed)
    search = [f"hydra.searchpath=[{quote('file://' + str(Path(extra).resolve()))}]"] if extra else []
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(conf), version_base="1.3", job_name="impasto"):
        loader = GlobalHydra.instance().config_loader()

        def options(group: str) -> list[str]:
            own = Path(extra, group).glob("*.yaml") if extra else ()
            return [*loader.get_group_options(group, ObjectType.CONFIG), *(path.stem for path in own)]

        reference = compose(command, search, return_hydra_config=True)
        try:
            for variant in _variants(parsed):
                _check_experiment(conf, command, variant)
                _check_variant(command, search, variant, reference, options)
        except (HydraException, OmegaConfBaseException) as error:
            raise ValueError(" ".join(str(error.__cause__ or error).split())) from error


def _check_output(parsed: list[Override]) -> None:
    """Refuse jobs that differ in more than their photographs, and would write the same names into one place."""
    swept = {override.key_or_group for override in parsed if override.is_sweep_override()} - {"images", "output"}
    for word in (str(override.input_line) for override in parsed if override.key_or_group == "output"):
        if swept and "${" not in word:
            raise ValueError(
                f"{word} would be that of several jobs; expected one for each, as '{word}/${{hydra:job.num}}'"
            )


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
        _check_choice(override, options, reference)
    groups = [str(o.input_line) for o in overrides if _is_group(o, options)]
    known = compose(command, [*search, *groups], return_hydra_config=True)
    for override in overrides:
        if not _is_group(override, options):
            _check_key(override, known)
    composed = compose(command, [*search, *texts], return_hydra_config=True)
    for key in map(str, composed):
        if key not in list(reference):  # not `in reference`, which is false for a value that is still to be given
            raise ValueError(f"unknown key '{key}' in the configuration{did_you_mean(key, map(str, reference))}")
    node: Any = composed._get_node("folder")  # resolved, it would ask for the run that is to come
    if not node._is_none():
        _check_writable(Path(str(composed.hydra.run.dir)))


def _check_writable(folder: Path) -> None:
    """Refuse a run folder that Hydra could not make."""
    there = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        raise ValueError(
            f"no run folder can be made in {there}, which cannot be written; expected output_root=<a folder that can>"
        )


def _check_experiment(conf: Path, command: str, overrides: list[Override]) -> None:
    for override in overrides:
        name = override.value()
        if override.key_or_group == "experiment" and (conf / "experiment" / f"{name}.yaml").is_file():
            owner = experiment_command(conf, str(name))
            if owner not in (None, command):
                told = [str(word).replace("_", " ") for word in (owner, command)]
                raise ValueError(f"experiment={name} is one of 'impasto {told[0]}', not of 'impasto {told[1]}'")


def _is_group(override: Override, options: Options) -> bool:
    return bool(options(override.key_or_group))


def _check_choice(override: Override, options: Options, reference: DictConfig) -> None:
    group, value = override.key_or_group, override.value()
    if _is_group(override, options) and not override.package and group not in reference.hydra.runtime.choices:
        raise ValueError(f"unknown key or group '{group}'{did_you_mean(group, map(str, reference))}")
    if not _is_group(override, options) or not isinstance(value, str) or override.is_delete():
        return
    if value not in options(group):
        if group == "hydra/launcher" and value in _LAUNCHERS:
            raise ValueError(f"{group}={value} is not installed; expected pip install 'impasto[launchers]'")
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
