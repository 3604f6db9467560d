"""Every file of conf/ says what it is, composes, and names classes that take its keys; numbers carry their source."""

from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from impasto.cli import COMMANDS, conf_dir
from impasto.commands.config import check_config
from impasto.commands.help import choices

GROUPS = ["system", "network", "features", "loss", "style", "data", "trainer", "callbacks", "logger"]
CHOICES = [(group, name) for group in GROUPS for name in choices(conf_dir(), group)]


def _compose(command: str, *overrides: str) -> DictConfig:
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        return compose(command, list(overrides))


@pytest.mark.parametrize("path", sorted(conf_dir().rglob("*.yaml")), ids=lambda p: str(p.relative_to(conf_dir())))
def test_every_file_has_a_line_that_says_what_it_is(path: Path) -> None:
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if not line.startswith("# @package")]
    assert lines[0].startswith("# ") and len(lines[0]) > 10


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_compose(command: str) -> None:
    check_config(_compose(command))


@pytest.mark.parametrize("experiment", choices(conf_dir(), "experiment"))
def test_experiments_take_the_keys_that_they_set(experiment: str) -> None:
    check_config(_compose("train", f"experiment={experiment}"))


@pytest.mark.parametrize(("group", "name"), CHOICES)
def test_choices_take_the_keys_that_they_set(group: str, name: str) -> None:
    check_config(_compose("train", f"{group}={name}"))


@pytest.mark.parametrize("experiment", choices(conf_dir(), "experiment"))
def test_no_experiment_brings_a_key_that_nothing_reads(experiment: str) -> None:
    assert set(_compose("train", f"experiment={experiment}")) == set(_compose("train"))


def test_a_key_that_the_class_does_not_take_is_refused_with_the_nearest() -> None:
    cfg = _compose("train", "+network.widht=3")
    with pytest.raises(ValueError, match=r"network\.widht: .* takes no 'widht'; did you mean 'width'\?"):
        check_config(cfg)


def test_a_class_that_does_not_exist_is_refused() -> None:
    cfg = _compose("train", "network._target_=impasto.networks.Nothing")
    with pytest.raises(ValueError, match=r"network\._target_: cannot import 'impasto.networks.Nothing'"):
        check_config(cfg)


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


def test_the_text_of_the_paper_has_content_at_relu2_2() -> None:
    layers = OmegaConf.to_container(_compose("train", "loss=johnson2016_relu2_2").loss.content_layers)
    assert {name: weight for name, weight in layers.items() if weight} == {"relu2_2": 1.0}  # type: ignore[union-attr]


@pytest.mark.parametrize("group", ["network", "style", "logger"])
def test_choices_can_be_built(group: str) -> None:
    for name in choices(conf_dir(), group):
        if (node := _compose("train", f"{group}={name}")[group]) is not None:
            instantiate(node)
