"""conf/wandb_sweep.yaml: the command that W&B's agent makes of it is one of ours."""

import copy
from typing import Any

import pytest
import torch
import yaml
from hydra import compose, initialize_config_dir
from torch import nn
from torch.optim import Adam
from wandb.sdk.launch.sweeps.utils import create_sweep_command, create_sweep_command_args

from impasto.cli import COMMANDS, conf_dir
from impasto.launch.composition import check_arguments
from impasto.launch.words import prepare_arguments
from impasto.systems.system import System

SWEEP: dict[str, Any] = yaml.safe_load((conf_dir() / "wandb_sweep.yaml").read_text(encoding="utf-8"))


def _words(values: dict[str, Any]) -> list[str]:
    """The command line as wandb_agent.py puts it together."""
    found = create_sweep_command_args({"args": {name: {"value": value} for name, value in values.items()}})
    found["env"] = ["/usr/bin/env"]
    words: list[str] = []
    for word in create_sweep_command(copy.copy(SWEEP["command"])):
        words += found[word[2:-1]] if word.startswith("${") else [word]
    return words


def _ends(parameter: dict[str, Any]) -> list[Any]:
    return list(parameter.get("values") or (parameter["min"], parameter["max"]))


@pytest.mark.parametrize("end", [0, -1])
def test_the_agents_command_is_one_that_train_takes(end: int) -> None:
    values = {name: _ends(parameter)[end] for name, parameter in SWEEP["parameters"].items()}
    environment, program, command, *arguments = _words(values)
    assert (environment, program, command) == ("/usr/bin/env", "impasto", "train")
    arguments = prepare_arguments(conf_dir(), "train", arguments)
    check_arguments(conf_dir(), "train", arguments)
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        cfg: Any = compose("train", arguments)
    assert cfg.system.optimizer.lr == values["system.optimizer.lr"] and cfg.system.scheduler is None
    assert cfg.network.width == values["network.width"]
    assert cfg.logger.mode == "online"


def test_a_parameter_that_does_not_exist_would_be_found() -> None:
    arguments = _words({"system.optimizer.rate": 0.1})[3:]
    with pytest.raises(ValueError, match="unknown key"):
        check_arguments(conf_dir(), "train", prepare_arguments(conf_dir(), "train", arguments))


def test_the_metric_is_one_that_training_logs(monkeypatch: pytest.MonkeyPatch) -> None:
    logged: dict[str, float] = {}
    monkeypatch.setattr(System, "log_dict", lambda _, named, **__: logged.update(named))
    system = System(nn.Linear(1, 1), optimizer=Adam, scheduler=None, channels_last=False, compiled=False)
    system.log_validation({"content": torch.tensor(1.0), "style": torch.tensor(2.0)}, count=1)
    assert logged[SWEEP["metric"]["name"]] == 3


def test_the_file_is_no_command() -> None:
    assert "wandb_sweep" not in {COMMANDS[command] for command in COMMANDS}
