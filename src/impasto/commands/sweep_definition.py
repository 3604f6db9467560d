"""What a sweep is: its search space, the words behind every training, its objectives; checked before anything runs."""

import os
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import optuna
from hydra.core.hydra_config import HydraConfig
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from optuna.storages import BaseStorage

from impasto.launch.composition import check_arguments
from impasto.launch.words import prepare_arguments, quote
from impasto.redaction import without_secrets
from impasto.sweep.objectives import Objective, read_objectives
from impasto.sweep.samplers import Sampling
from impasto.sweep.space import Space, ends, read_space
from impasto.sweep.trials import Outcome, Trials
from impasto.tables import digits

_OURS = ("resume", "run_id", "folder", "hydra")  # keys that a sweep sets itself


class Definition(NamedTuple):
    """What a sweep is.

    Attributes:
        name: of the sweep.
        conf: the folder of the configuration, and the user's own where there is one.
        shared: words of every training that come from the sweep's own configuration.
        train: words of every training, as the user gave them.
        space: of the parameters.
        objectives: what is made small or large.
        sampling: makes each trial's sampler.
        pruner: judges trials by their intermediate values.
        total: number of trials.
        identity: all that must stay the same; plain data.
    """

    name: str
    conf: list[str]
    shared: list[str]
    train: list[str]
    space: Space
    objectives: list[Objective]
    sampling: Sampling
    pruner: optuna.pruners.BasePruner
    total: int
    identity: dict[str, Any]

    def trials(self, storage: BaseStorage, *, storage_name: str, folder: Path) -> Trials:
        """Open the sweep's trials."""
        folder.mkdir(parents=True, exist_ok=True)
        return Trials(
            storage,
            storage_name=storage_name,
            name=self.name,
            definition=self.identity,
            directions=[objective.direction for objective in self.objectives],
            space=self.space,
            sampling=self.sampling,
            pruner=self.pruner,
            total=self.total,
            folder=folder,
        )

    def words(self, parameters: Mapping[str, Any], folder: Path) -> list[str]:
        """Return what stands behind `impasto train` for a trial: anew, or going on from its last checkpoint."""
        flags = ["--config-dir", self.conf[1]] if len(self.conf) > 1 else []
        if _can_go_on(folder):
            return [*flags, *prepare_arguments(Path(self.conf[0]), "train", [f"resume={quote(str(folder))}"])]
        own = [word_of(key, value) for key, value in parameters.items()]
        link = "++callbacks.trial._target_=impasto.tracking.trial.TrialLink"
        return [*flags, *self.shared, *self.train, *own, link, f"hydra.run.dir={quote(str(folder))}"]

    def parameters(self, parameters: Mapping[str, Any]) -> str:
        """Return a trial's parameters as a line."""
        return ", ".join(
            f"{key}={digits(value) if isinstance(value, float) else value}" for key, value in parameters.items()
        )

    def told(self, outcome: Outcome) -> str:
        """Return how a trial ended as a line."""
        if outcome.state != "finished" or outcome.values is None:
            return f"{outcome.state}{': ' if outcome.error else ''}{outcome.error}"
        values = zip(self.objectives, outcome.values, strict=True)
        return ", ".join(f"{objective.name} {digits(value)}" for objective, value in values)


def word_of(key: str, value: Any) -> str:  # noqa: ANN401 (a choice of any kind)
    """Return `key=value` in Hydra's grammar."""
    if value is None or isinstance(value, bool):
        return f"{key}={'null' if value is None else str(value).lower()}"
    plain = not isinstance(value, str) or value.replace("_", "").replace("-", "").isalnum()
    return f"{key}={value if plain else quote(value)}"


def _can_go_on(folder: Path) -> bool:
    """Whether a training has a checkpoint; what was killed before the first one begins anew."""
    needed = ("checkpoints/last.ckpt", "config.yaml", "environment.json", "status.json", ".hydra/config.yaml")
    return all((folder / name).is_file() for name in needed)


def read_definition(cfg: DictConfig) -> Definition:
    """Read and check what a sweep is.

    Raises:
        ValueError: an unknown key in the space or the words (names the nearest right one), an empty range, too many
            objectives for the sampler or the pruner, or no trials.
    """
    space, objectives = read_space(_plain(cfg.space)), read_objectives(_plain(cfg.objectives))
    train = _train_words(cfg)
    sampling: Sampling = instantiate(cfg.sampler)
    pruner: optuna.pruners.BasePruner = instantiate(cfg.pruner)
    if cfg.seed is None:
        raise ValueError("expected seed=<number>, from which every trial's parameters follow; got null")
    if len(objectives) > 1 and not isinstance(pruner, optuna.pruners.NopPruner):
        raise ValueError(f"pruning needs one objective, got {len(objectives)}; expected pruner=none")
    if len(objectives) > 1 and isinstance(sampling(space, 0), optuna.samplers.CmaEsSampler):
        raise ValueError(f"CMA-ES needs one objective, got {len(objectives)}; expected sampler=tpe or another")
    total = _total(cfg, sampling, space)
    conf, shared = _conf(), _shared(cfg)
    _check(conf, [*shared, *train], space)
    identity = {
        "train": [without_secrets(word) for word in train],  # kept where many may read it
        "space": _plain(cfg.space),
        "objectives": _plain(cfg.objectives),
        "sampler": _plain(cfg.sampler),
        "pruner": _plain(cfg.pruner),
        "seed": cfg.seed,
    }
    return Definition(str(cfg.name), conf, shared, train, space, objectives, sampling, pruner, total, identity)


def _plain(node: Any) -> Any:  # noqa: ANN401 (any node)
    return OmegaConf.to_container(node, resolve=True) if OmegaConf.is_config(node) else node


def _total(cfg: DictConfig, sampling: Sampling, space: Space) -> int:
    if cfg.n_trials is not None and (not isinstance(cfg.n_trials, int) or cfg.n_trials < 1):
        raise ValueError(f"expected n_trials of at least 1, got {cfg.n_trials}")
    most = sampling.most(space)
    if cfg.n_trials is None and most is None:
        raise ValueError("expected n_trials=<number>; only a grid has an end of its own")
    return min(number for number in (cfg.n_trials, most) if number is not None)


def _train_words(cfg: DictConfig) -> list[str]:
    words = [str(word) for word in ([cfg.train] if isinstance(cfg.train, str) else cfg.train or [])]
    for word in words:
        key = word.lstrip("+").split("=")[0].split(".")[0].split("/")[0]
        if "=" not in word or word.startswith("~") or key in _OURS:
            raise ValueError(f"train: expected key=value words that impasto train takes, got '{word}'")
    return words


def _conf() -> list[str]:
    """The configuration's folder, and the one that --config-dir named."""
    sources = HydraConfig.get().runtime.config_sources
    wanted = {source.provider: source.path for source in sources if source.schema == "file"}
    return [wanted["main"], *([wanted["command-line"]] if "command-line" in wanted else [])]


def _shared(cfg: DictConfig) -> list[str]:
    """What a trial takes from the sweep's configuration; a training's own words win over it."""
    words = [f"data_root={quote(os.path.abspath(cfg.data_root))}", f"seed={cfg.seed}"]  # noqa: PTH100 (keeps links)
    if cfg.logger is None:
        return [*words, "logger=csv"]
    told = _plain(cfg.logger)
    told["group"] = told["group"] or cfg.name
    given = [f"logger.{key}={_text(value)}" for key, value in told.items() if not key.startswith("_")]
    return [*words, *given]


def _text(value: Any) -> str:  # noqa: ANN401
    if isinstance(value, list):
        return f"[{','.join(quote(str(item)) for item in value)}]"
    return "null" if value is None else quote(value) if isinstance(value, str) else str(value)


def _check(conf: Sequence[str], words: list[str], space: Space) -> None:
    """Refuse what `impasto train` would refuse, with all choices of a group, and a value of every other key."""
    flags = ["--config-dir", conf[1]] if len(conf) > 1 else []
    try:
        check_arguments(Path(conf[0]), "train", [*flags, *words])
    except ValueError as error:
        raise ValueError(f"train: {error} (in {shlex.join(words)})") from error
    groups = {path.name for folder in conf for path in Path(folder).iterdir() if path.is_dir()}
    if ours := next((key for key in space if key.split(".")[0].split("/")[0] in _OURS), None):
        raise ValueError(f"space: {ours} cannot be searched; the sweep sets it")
    first = [word_of(key, ends(distribution)[0]) for key, distribution in space.items()]
    others = [[word_of(key, value)] for key in space if key in groups for value in ends(space[key])[1:]]
    for tried in [first, *others]:
        try:
            check_arguments(Path(conf[0]), "train", [*flags, *words, *tried])
        except ValueError as error:
            raise ValueError(f"space: {error}") from error
