"""What a sweep is: its search space, the words behind every training, its objectives; checked before anything runs."""

import json
import os
import re
import shlex
from functools import partial
from pathlib import Path
from typing import Annotated, Any, NamedTuple

from hydra.core.hydra_config import HydraConfig
from hydra.utils import instantiate
from omegaconf import DictConfig
from optuna.distributions import CategoricalDistribution
from optuna.pruners import BasePruner, NopPruner
from optuna.samplers import BaseSampler, CmaEsSampler
from pydantic import Field

from impasto.build.settings import Count, Folder, Settings, Text, plain
from impasto.launch.composition import check_arguments
from impasto.launch.words import first_key, prepare_arguments, quote
from impasto.redaction import without_secrets
from impasto.run_folders import RunFolder
from impasto.sweep.search import Objective, Parameters, Sampling, Space, read_space
from impasto.sweep.trials import Sweep

_OURS = {"resume", "run_id", "folder", "hydra"}  # keys of a training that the sweep sets itself


class SweepSettings(Settings):
    """The values of conf/sweep.yaml."""

    name: Text
    train: list[Text]
    objectives: Annotated[dict[str, Objective], Field(min_length=1)]
    n_trials: Count | None
    workers: Count
    storage: Text | None
    output: Folder
    seed: int

    @property
    def storage_name(self) -> str:
        """The storage, which is in the sweep's folder unless the user names another."""
        return self.storage or f"sqlite:///{self.output.absolute() / 'study.db'}"


class Words(NamedTuple):
    """The words behind `impasto train` of the trials."""

    conf: Path  # the folder of the configuration
    flags: list[str]  # that name the user's own, where there is one
    shared: list[str]  # from the sweep's own configuration, and then as the user gave them

    def of(self, parameters: Parameters) -> list[str]:
        """Return the words of a training with some parameters."""
        return [*self.shared, *(_word(key, value) for key, value in parameters.items())]

    def start(self, parameters: Parameters, folder: Path) -> list[str]:
        """Return what starts a trial in its folder: anew, or going on from its last checkpoint."""
        if RunFolder(folder).can_go_on():
            return [*self.flags, *prepare_arguments(self.conf, "train", [f"resume={quote(str(folder))}"])]
        link = "++callbacks.trial._target_=impasto.tracking.callbacks.TrialLink"
        return [*self.flags, *self.of(parameters), link, f"hydra.run.dir={quote(str(folder))}"]

    def again(self, parameters: Parameters) -> str:
        """Return the command line of a training of its own with some parameters."""
        words = [word for word in self.of(parameters) if not word.startswith("logger")]
        return shlex.join(["impasto", "train", *self.flags, *map(without_secrets, words)])


def _word(key: str, value: Any) -> str:  # noqa: ANN401 (a choice of any kind)
    """Return `key=value` in Hydra's grammar."""
    if isinstance(value, str) and not re.fullmatch(r"[\w/-]+", value, re.ASCII):
        value = quote(value)
    return f"{key}={value if isinstance(value, str) else json.dumps(value)}"


def read_definition(cfg: DictConfig, given: SweepSettings) -> tuple[Sweep, Words]:
    """Read and check what a sweep is, and open it."""
    definition = {key: plain(cfg[key]) for key in ("space", "objectives", "sampler", "pruner", "seed")}
    definition["train"] = [without_secrets(word) for word in given.train]  # kept where many may read it
    sampler: partial[BaseSampler] = instantiate(cfg.sampler)
    pruner: BasePruner = instantiate(cfg.pruner) or NopPruner()
    several = len(given.objectives) > 1 and f"one objective, got {len(given.objectives)}; expected"
    if several and not isinstance(pruner, NopPruner):
        raise ValueError(f"pruning needs {several} pruner=none")
    if several and sampler.func is CmaEsSampler:
        raise ValueError(f"CMA-ES needs {several} sampler=tpe or another")
    sampling = Sampling(sampler, read_space(definition["space"]), seed=given.seed)
    totals = [number for number in (given.n_trials, sampling.combinations) if number is not None]
    if not totals:
        raise ValueError("expected n_trials=<number>; only a grid has an end of its own")
    sources = {s.provider: s.path for s in HydraConfig.get().runtime.config_sources if s.schema == "file"}
    flags = ["--config-dir", sources["command-line"]] if "command-line" in sources else []
    words = Words(Path(sources["main"]), flags, [*_shared(cfg), *given.train])
    check_trainings(words, sampling.space)
    folder, objectives, total = given.output.absolute(), given.objectives, min(totals)
    return Sweep(given.name, given.storage_name, folder, objectives, sampling, pruner, total, definition), words


def _shared(cfg: DictConfig) -> list[str]:
    hydra = HydraConfig.get()
    words = [_word("data_root", os.path.abspath(cfg.data_root)), f"seed={cfg.seed}"]  # noqa: PTH100 (keeps links)
    words.append(f"logger={hydra.runtime.choices['logger']}")
    if cfg.logger is not None and "group" in cfg.logger:
        words.append(f"logger.group={quote(cfg.logger.group or cfg.name)}")
    return [*words, *(word for word in hydra.overrides.task if word.startswith("logger.") and "group" not in word)]


def check_trainings(words: Words, space: Space) -> None:
    """Refuse what `impasto train` would refuse, with every choice and the least number of each range."""
    for key in (*(word.partition("=")[0] for word in words.shared), *space):
        if first_key(key) in _OURS:
            raise ValueError(f"{key} can be neither searched nor given to the trainings; the sweep sets it")
    values: dict[str, list[Any]] = {
        key: list(d.choices) if isinstance(d, CategoricalDistribution) else [d.low]  # type: ignore[attr-defined]
        for key, d in space.items()
    }
    for index in range(max(map(len, values.values()))):
        tried = words.of({key: value[index % len(value)] for key, value in values.items()})
        try:
            check_arguments(words.conf, "train", [*words.flags, *tried])
        except ValueError as error:
            raise ValueError(f"no training of this sweep could begin: {error} (in {shlex.join(tried)})") from error
