"""Every file of conf/ says what it is, composes, and names classes that take its keys; numbers carry their source."""

from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hydra import compose
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from impasto.cli import COMMANDS, conf_dir
from impasto.launch.composition import check_targets, compose_command, initialize
from impasto.launch.help import choices, experiment_command
from impasto.sweep.search import Objective, read_space


def _compose(command: str, *overrides: str) -> DictConfig:
    with initialize(conf_dir()):
        return compose(command, list(overrides))


@pytest.mark.parametrize("path", sorted(conf_dir().rglob("*.yaml")), ids=lambda p: str(p.relative_to(conf_dir())))
def test_every_file_has_a_line_that_says_what_it_is(path: Path) -> None:
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if not line.startswith("# @package")]
    assert lines[0].startswith("# ") and len(lines[0]) > 10


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_compose(command: str) -> None:
    check_targets(_compose(COMMANDS[command]))


@pytest.mark.parametrize("experiment", choices(conf_dir(), "experiment"))
def test_experiments_bring_only_keys_that_something_reads(experiment: str) -> None:
    command = experiment_command(conf_dir(), experiment)
    assert command is not None
    check_targets(compose_command(conf_dir(), command, [f"experiment={experiment}"]))  # which knows the command's keys


@pytest.mark.slow
def test_every_variant_of_the_ablations_is_a_training() -> None:
    cfg: Any = _compose("evaluate", "experiment=iizuka2016_ablations")
    told = [OmegaConf.to_yaml(_compose("train", *cfg.evaluation.train, *v)) for v in cfg.evaluation.variants.values()]
    assert len(set(told)) == len(told) >= 2  # each another one


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("+network.widht=3", r"network\.widht: .* takes no 'widht'; did you mean 'width'\?"),
        ("+system.optimiser=3", r"system\.optimiser: .* takes no 'optimiser'; did you mean 'optimizer'\?"),
        ("network._target_=impasto.networks.Nothing", r"network\._target_: cannot import 'impasto.networks.Nothing'"),
    ],
)
def test_a_key_that_the_target_does_not_take_is_refused_with_the_nearest(word: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check_targets(_compose("train", "network=stylizer", word))


def test_the_papers_numbers_are_those_of_the_paper() -> None:
    cfg: Any = _compose("train", "experiment=johnson2016_style", "data.root=/coco")
    assert cfg.trainer.max_steps == 40_000
    assert cfg.data.batch_size == 4
    assert cfg.data.train_transform.size == 256
    assert cfg.data.year == "2014"
    assert cfg.system.optimizer.lr == 1e-3
    assert cfg.system.scheduler is None
    assert cfg.features.architecture == "vgg16"
    assert set(cfg.loss.style_layers) == {"relu1_2", "relu2_2", "relu3_3", "relu4_3"}
    assert cfg.network._target_ == "impasto.networks.JohnsonStylizer"


def test_iizukas_numbers_are_those_of_the_paper() -> None:
    cfg: Any = _compose("train", "experiment=iizuka2016_places365", "data.root=/places")
    assert cfg.trainer.max_steps == 200_000
    assert cfg.data.batch_size == 128
    assert cfg.data.train_transform == {
        "_target_": "impasto.data.SqueezeAndCrop",
        "squeeze": 256,
        "size": 224,
        "flip": True,
    }
    assert cfg.data.val_transform == {"_target_": "impasto.data.Squeeze", "size": 224}
    assert cfg.system.optimizer._target_ == "torch.optim.Adadelta" and cfg.system.scheduler is None
    assert cfg.network == {
        "_target_": "impasto.networks.Colorizer",
        "_partial_": True,
        "width": 64,
        "global_size": 224,
        "mean": 0.5,
        "global_features": True,
    }
    assert cfg.loss.weights["class"] == pytest.approx(1 / 300, rel=1e-6)
    assert (cfg.loss.weights.colour, cfg.loss.weights.perceptual, cfg.loss.color_space) == (1.0, 0.0, "lab")
    assert cfg.loss.rare_colours is None and cfg.features is None and cfg.style is None


@pytest.mark.parametrize("factor", [4, 8])
def test_the_numbers_of_super_resolution_are_those_of_the_paper(factor: int) -> None:
    words = ("experiment=johnson2016_upscaler", f"network.factor={factor}", "data.train=[a]", "data.val=[b]")
    cfg: Any = _compose("train", *words)
    assert cfg.network == {
        "_target_": "impasto.networks.JohnsonUpscaler",
        "factor": factor,
        "width": 64,
        "blocks": 4,
    }
    assert (cfg.trainer.max_steps, cfg.data.batch_size, cfg.data.train_limit) == (200_000, 4, 10_000)
    assert (cfg.data.train_transform.size, list(cfg.data.sigma), cfg.data.factor) == (288, [1.0, 1.0], factor)
    assert cfg.system.optimizer._target_ == "torch.optim.Adam" and cfg.system.optimizer.lr == 1e-3
    assert cfg.system.scheduler is None and cfg.features.architecture == "vgg16"
    assert dict(cfg.loss.content_layers) == {"relu2_2": 1.0} and not cfg.loss.style_layers
    assert cfg.loss.weights == {"content": 1.0, "style": 0.0, "tv": 0.0}
    pixel = _compose("train", *words, "loss=pixel")
    plain, changed = (OmegaConf.to_container(c, resolve=False) for c in (cfg, pixel))
    assert isinstance(plain, dict) and isinstance(changed, dict)
    assert {key for key in plain if plain[key] != changed[key]} == {"loss"}


@pytest.mark.parametrize("name", ["iizuka2016_perceptual", "iizuka2016_rare"])
def test_losses_of_our_own_add_to_the_papers(name: str) -> None:
    paper, ours = (
        _compose("train", "experiment=iizuka2016_scenes", f"loss={loss}").loss for loss in ("iizuka2016", name)
    )
    own = {"iizuka2016_perceptual": "perceptual", "iizuka2016_rare": "rare_colours"}[name]
    assert paper[own] is None and ours[own] is not None
    assert (ours.weights.perceptual > 0) == (own == "perceptual")
    for cfg in (paper, ours):
        cfg[own] = None
        cfg.weights.perceptual = 0.0
    assert ours == paper


@pytest.mark.parametrize(
    ("command", "group"),
    [
        ("train", "network"),
        ("train", "style"),
        ("train", "logger"),
        ("optimize", "gatys_optimizer"),
        ("optimize", "start"),
        ("optimize", "colors"),
        ("study_create", "question"),
        ("sweep", "sampler"),
        ("sweep", "pruner"),
        ("sweep", "logger"),
    ],
)
def test_choices_can_be_built(command: str, group: str) -> None:
    for name in choices(conf_dir(), group):
        if (node := _compose(command, f"{group}={name}")[group]) is not None:
            built = instantiate(node)
            if group == "network" and isinstance(built, partial):
                built(classes=3, channels=2)


def test_gatys_numbers_are_those_of_the_paper() -> None:
    cfg: Any = _compose("optimize", "experiment=gatys2015")
    assert set(cfg.loss.style_layers) == {f"relu{block}_1" for block in range(1, 6)}
    assert all(weight == 0.25 / 5 for weight in cfg.loss.style_layers.values())
    assert dict(cfg.loss.content_layers) == {"relu4_2": 0.5}
    assert cfg.loss.weights.content / cfg.loss.weights.style == 1e-3
    assert cfg.loss.weights.tv == 0
    assert cfg.start._target_ == "impasto.gatys.from_noise"
    assert "AveragePool" in cfg.features.pooling._target_


def test_the_notebooks_numbers_are_those_of_the_notebook() -> None:
    cfg: Any = _compose("optimize", "experiment=gatys_official")
    assert (cfg.steps, cfg.size, cfg.loss.weights.content, cfg.loss.weights.style) == (500, 512, 1.0, 1e3)
    assert cfg.features.pooling._target_ == "torch.nn.MaxPool2d"
    assert cfg.start._target_ == "impasto.gatys.from_photo"


def test_the_question_is_iizukas_and_the_rule_is_fixed() -> None:
    cfg: Any = _compose("study_create")
    assert cfg.question.text == "Does this image look natural to you?"  # Iizuka 2016, sec. 4.3
    assert (cfg.question.pictures, len(cfg.question.answers)) == (1, 2)
    assert _compose("study_create", "question=better").question.pictures == 2
    rule = instantiate(cfg.rule)
    assert (rule.least_catches, rule.least_repeats, rule.least_milliseconds, rule.least_done) == (0.75, None, 250, 0)


@pytest.mark.parametrize("command", ["study_simulate", "study_serve"])
def test_commands_that_answer_a_study_leave_no_run_folder(command: str) -> None:
    with initialize(conf_dir()):
        cfg = compose(command, ["study=x"], return_hydra_config=True)
    assert cfg.folder is None
    assert (cfg.hydra.run.dir, cfg.hydra.output_subdir) == (".", None)
    assert cfg.hydra.job_logging.root.handlers == ["console"]


def test_johnsons_baseline_has_johnsons_losses_and_the_textbooks_lbfgs() -> None:
    cfg: Any = _compose("optimize", "experiment=johnson2016_baseline")
    assert cfg.steps == 500
    assert cfg.features.architecture == "vgg16"
    assert cfg.loss == _compose("train", "loss=johnson2016").loss
    assert cfg.gatys_optimizer.preconditioner.path == "impasto.gatys.identity"


SWEEPS = [name for name in choices(conf_dir(), "experiment") if experiment_command(conf_dir(), name) == "sweep"]


@pytest.mark.parametrize("words", [[f"experiment={name}"] for name in SWEEPS])
def test_every_sweep_searches_keys_that_its_training_has(words: list[str]) -> None:
    cfg: Any = _compose("sweep", *words)
    training = _compose("train", *cfg.train)
    for key in read_space(OmegaConf.to_container(cfg.space)):  # type: ignore[arg-type]
        assert OmegaConf.select(training, key) is not None, key
    for objective in (Objective(**words) for words in cfg.objectives.values()):
        assert objective.divided_by is None or OmegaConf.select(training, objective.divided_by)


def test_a_sweep_keeps_its_record_itself() -> None:
    with initialize(conf_dir()):
        cfg = compose("sweep", return_hydra_config=True)
    assert cfg.folder is None and (cfg.hydra.run.dir, cfg.hydra.output_subdir) == (".", None)
