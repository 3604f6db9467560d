"""A configuration composed once before Hydra does it: what is misspelt becomes a sentence with the nearest word."""

import inspect
import os
import warnings
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Unpack, get_args, get_origin

from hydra import compose, initialize_config_dir
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.types import Glob, IntervalSweep, Override
from hydra.errors import HydraException, MissingConfigException
from hydra.utils import get_object
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from impasto.launch.help import experiment_command
from impasto.launch.words import config_dir, first_key, parse, part, quote, top_level_keys
from impasto.suggest import did_you_mean

_RESERVED = {"_target_", "_partial_", "_args_", "_convert_", "_recursive_"}
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
    shared = [word for word in words if word.startswith("output=") and "${" not in word]
    if shared and swept.keys() - {"images", "output"}:  # whose jobs would write the same names
        expected = f"'{shared[0]}/${{hydra:job.num}}'"
        raise ValueError(f"{shared[0]} would be that of several jobs; expected one for each, as {expected}")
    for variant in _variants(overrides) if multirun else [words]:
        cfg = compose_command(conf, command, [*flags, *variant])
        folder: Any = cfg._get_node("folder")  # resolved, it would ask for the run that is to come
        wanted = Path(str(cfg.hydra.run.dir)).absolute()
        there = next(path for path in (wanted, *wanted.parents) if path.exists())
        if not folder._is_none() and not (there.is_dir() and os.access(there, os.W_OK | os.X_OK)):
            expected = "expected output_root=<a folder that can>"
            raise ValueError(f"no run folder can be made in {there}, which cannot be written; {expected}")


def initialize(conf: Path) -> initialize_config_dir:
    """Let `hydra.compose` read conf/ while the result is entered."""
    store_choices(conf)
    return initialize_config_dir(str(conf), version_base="1.3", job_name="impasto")


@cache
def store_choices(conf: Path) -> None:
    """Tell Hydra, once, the choices of a group that stand in one file, conf/<group>/_all.yaml, by their names."""
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
            return f"{group}={choice} is not installed; expected pip install -e '.[launchers]'"
        return f"{group} has no '{choice}'{did_you_mean(choice, (o for o in error.options if o[0] != '_'))}"
    cause = error.__cause__
    if isinstance(cause, OmegaConfBaseException) and (key := str(cause.full_key or "")):
        above = key.rpartition(".")[0]
        if not cause.parent_node:
            return f"unknown key '{key}': {above} has no keys"
        names = [f"{above}.{name}".removeprefix(".") for name in cause.parent_node]
        return f"unknown key or group '{key}'{did_you_mean(key, names)}"
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
    first = [values[0] for values in choices]
    yield first
    for index, values in enumerate(choices):
        yield from ([*first[:index], value, *first[index + 1 :]] for value in values[1:])


def check_targets(node: Any, path: str = "") -> None:  # noqa: ANN401 (any YAML)
    """Refuse keys beside a `_target_` that it does not take, wherever they came from, and targets that do not exist."""
    node = OmegaConf.to_container(node, resolve=False) if OmegaConf.is_config(node) else node
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    known = _arguments(node["_target_"], path) if isinstance(node, dict) and "_target_" in node else None
    for key, value in items:
        if known is not None and key not in known | _RESERVED:
            raise ValueError(f"{path}.{key}: {node['_target_']} takes no '{key}'{did_you_mean(str(key), known)}")
        check_targets(value, f"{path}.{key}".removeprefix("."))


def _arguments(target: str, path: str) -> set[str] | None:
    """Names that the target takes; None where it takes any."""
    try:
        parameters = inspect.signature(get_object(target)).parameters.values()
    except ValueError:  # a builtin without a signature
        return None
    except Exception as error:
        raise ValueError(f"{path}._target_: cannot import '{target}' ({error})") from error
    names: set[str] = set()
    for parameter in parameters:
        if parameter.kind is not inspect.Parameter.VAR_KEYWORD:
            names.add(parameter.name)
        elif get_origin(parameter.annotation) is Unpack:  # of a TypedDict, which says what they are
            names |= get_args(parameter.annotation)[0].__annotations__.keys()
        else:
            return None
    return names
