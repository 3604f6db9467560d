"""A configuration composed once before Hydra does it: what is misspelt becomes a sentence with the nearest word."""

import os
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.types import Glob, IntervalSweep, Override
from hydra.errors import HydraException, MissingConfigException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from impasto.launch.help import experiment_command
from impasto.launch.words import config_dir, first_key, parse, part, quote, top_level_keys
from impasto.suggest import did_you_mean

_LAUNCHERS = ("joblib", "submitit_local", "submitit_slurm")  # Hydra's plugins that bring more launchers


def check_arguments(conf: Path, command: str, arguments: Sequence[str]) -> None:
    """Compose the configuration, for each value of a multirun; a ValueError names the nearest right word."""
    flags, words, _ = part(arguments)
    overrides = parse(words)
    multirun = not {"--multirun", "-m"}.isdisjoint(flags)
    swept = {override.key_or_group: override.input_line for override in overrides if override.is_sweep_override()}
    if swept and not multirun:
        several = next(iter(swept.values()))
        raise ValueError(f"{several} names several values; add --multirun to run one after the other")
    outputs = [str(o.input_line) for o in overrides if o.key_or_group == "output"]
    shared = next((word for word in outputs if "${" not in word), None)
    if shared and swept.keys() - {"images", "output"}:  # whose jobs would write the same names
        raise ValueError(
            f"{shared} would be that of several jobs; expected one for each, as '{shared}/${{hydra:job.num}}'"
        )
    for variant in _variants(overrides) if multirun else [words]:
        cfg = compose_command(conf, command, [*flags, *variant])
        folder: Any = cfg._get_node("folder")  # resolved, it would ask for the run that is to come
        if not folder._is_none():  # one that Hydra could not make
            wanted = Path(str(cfg.hydra.run.dir)).absolute()
            there = next(path for path in (wanted, *wanted.parents) if path.exists())
            if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
                raise ValueError(
                    f"no run folder can be made in {there}, which cannot be written; "
                    "expected output_root=<a folder that can>"
                )


def initialize(conf: Path) -> initialize_config_dir:
    """Let `hydra.compose` read conf/ while the result is entered."""
    store_choices(conf)
    return initialize_config_dir(str(conf), version_base="1.3", job_name="impasto")


def store_choices(conf: Path) -> None:
    """Tell Hydra the choices of a group that stand in one file, conf/<group>/_all.yaml, by their names."""
    warnings.filterwarnings("ignore", "(?s).*ConfigStore schema with the same name")  # a user's own of that name
    for path in conf.glob("*/_all.yaml"):
        for name, choice in OmegaConf.load(path).items():
            ConfigStore.instance().store(group=path.parent.name, name=str(name), node=choice)


def compose_command(conf: Path, command: str, arguments: Sequence[str]) -> DictConfig:
    """Return a command's configuration, Hydra's own included; a ValueError names the nearest right word."""
    flags, words, _ = part(arguments)
    search = []
    if (own := config_dir(flags)) is not None:
        if not own.is_dir():
            raise ValueError(f"--config-dir {own} is no folder")
        search = [f"hydra.searchpath=[{quote(f'file://{own.resolve()}')}]"]
    known = top_level_keys(conf, command)
    for override in parse(words):
        first = first_key(override.package or override.key_or_group)
        if first not in {*known, "hydra"}:  # `+` would add it, and nothing would read it
            raise ValueError(f"unknown key or group '{first}'{did_you_mean(first, known)}")
        name = str(override.value()) if override.key_or_group == "experiment" else ""
        if (conf / "experiment" / f"{name}.yaml").is_file():
            owner = experiment_command(conf, name)
            if owner not in (None, command):
                names = [str(word).replace("_", " ") for word in (owner, command)]
                raise ValueError(f"experiment={name} is one of 'impasto {names[0]}', not of 'impasto {names[1]}'")
    GlobalHydra.instance().clear()
    with initialize(conf):
        try:
            cfg = compose(command, [*search, *words], return_hydra_config=True)
        except (HydraException, OmegaConfBaseException) as error:
            raise ValueError(_sentence(error)) from error
    for key in map(str, cfg):  # an experiment may bring any
        if key not in known | {"hydra"}:
            raise ValueError(f"unknown key '{key}' in the configuration{did_you_mean(key, known)}")
    return cfg


def _sentence(error: Exception) -> str:
    """Say what Hydra found wrong, with the nearest right word."""
    if isinstance(error, MissingConfigException) and error.options is not None and error.missing_cfg_file:
        group, _, choice = error.missing_cfg_file.rpartition("/")
        if group == "hydra/launcher" and choice in _LAUNCHERS:
            return f"{group}={choice} is not installed; expected pip install 'impasto[launchers]'"
        shown = [option for option in error.options if not option.startswith("_")]
        return f"{group} has no '{choice}'{did_you_mean(choice, shown)}"
    cause = error.__cause__
    if isinstance(cause, OmegaConfBaseException) and cause.full_key:
        above = str(cause.full_key).rpartition(".")[0]
        if not cause.parent_node:
            return f"unknown key '{cause.full_key}': {above} has no keys"
        names = [f"{above}.{name}" if above else str(name) for name in cause.parent_node]
        return f"unknown key or group '{cause.full_key}'{did_you_mean(str(cause.full_key), names)}"
    return " ".join(str(cause or error).split())


def _variants(parsed: list[Override]) -> Iterator[list[str]]:
    """Every value of a multirun once, beside the first values of the others."""
    choices = [
        [f"{o.get_key_element()}={value}" for value in o.sweep_string_iterator()]
        if o.is_sweep_override()
        else [str(o.input_line)]
        for o in parsed
        if not isinstance(o.value(), Glob | IntervalSweep)  # only their sweeper can list those
    ]
    yield [values[0] for values in choices]
    for index, values in enumerate(choices):
        for value in values[1:]:
            yield [value if i == index else other[0] for i, other in enumerate(choices)]
