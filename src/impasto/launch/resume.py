"""A run that goes on: the configuration that it began with, the values that change, and the record of both."""

import os
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf

from impasto.files import write_text
from impasto.group import is_first_process
from impasto.redaction import without_secrets
from impasto.run_folders import RunFolder
from impasto.suggest import did_you_mean


def saved_config(cfg: DictConfig, folder: Path) -> DictConfig:
    """Return the configuration of the run that is resumed, with the values that this command line changes.

    Hydra's record of it is not resolved, so that what depends on a changed value follows it.
    """
    overrides: Any = OmegaConf.to_container(HydraConfig.get().overrides.task, resolve=False)  # as they were given
    resolved, saved = _load(RunFolder(folder).config_file), _load(folder / ".hydra" / "config.yaml")
    command = HydraConfig.get().job.config_name
    began = _load(folder / ".hydra" / "hydra.yaml").hydra.job.config_name
    if began != command:
        raise ValueError(f"{folder} is the run folder of an 'impasto {began}'; expected one of 'impasto {command}'")
    if is_first_process():  # the others of its group start when it runs already
        _refuse_running(folder)
    for override in OverridesParser.create().parse_overrides(overrides):
        key = override.key_or_group
        if key == "resume":
            continue
        if (key not in cfg and "." not in key) or OmegaConf.is_dict(OmegaConf.select(saved, key)):
            word = str(override.input_line).lstrip("+")
            raise ValueError(f"a resumed run keeps its {key}; start a new run for {word}")
        if OmegaConf.select(saved, key, default=override) is override:
            raise ValueError(f"the run has no key '{key}'{did_you_mean(key, [str(k) for k in saved])}")
        OmegaConf.update(saved, key, override.value())
    for key in ("run_id", "name", "data_root", "output_root"):  # of the machine and the moment of the first start
        saved[key] = resolved[key]
    _keep_paths(saved, folder)
    saved.resume, saved.folder = str(folder), str(folder)
    return saved


def begin_again(cfg: DictConfig) -> None:
    """Record that a resumed run goes on, with the values that this command line has changed.

    Called once its last checkpoint is loaded: a change that is refused leaves the run as it was. Does nothing for a run
    that is not resumed, and when called again.
    """
    if not cfg.get("resume") or not is_first_process():
        return
    folder = Path(cfg.folder)
    if RunFolder(folder).running_process() != os.getpid():
        _refuse_running(folder)
        write_text(folder / ".hydra" / "config.yaml", OmegaConf.to_yaml(cfg))
        keep_to_owner(folder)
        RunFolder(folder).begin(OmegaConf.to_yaml(cfg, resolve=True))


def _keep_paths(saved: DictConfig, folder: Path) -> None:
    """Photographs and results are where they were, whichever folder this command line was given in."""
    first = RunFolder(folder).read_environment()["folder"]
    if "images" in saved:
        images = [saved.images] if isinstance(saved.images, str) else list(saved.images)
        saved.images = [os.path.join(first, Path(image).expanduser()) for image in images]  # noqa: PTH118 (patterns)
    unresolved: Any = OmegaConf.to_container(saved, resolve=False)
    output = str(unresolved.get("output", "${folder}"))
    if "${" not in output:
        saved.output = os.path.join(first, Path(output).expanduser())  # noqa: PTH118


def _load(path: Path) -> DictConfig:
    if not path.is_file():
        raise FileNotFoundError(f"the run cannot be resumed: no file {path}")
    loaded = OmegaConf.load(path)
    assert isinstance(loaded, DictConfig)
    return loaded


def _refuse_running(folder: Path) -> None:
    """Two processes in one run folder would overwrite each other."""
    if (process := RunFolder(folder).running_process()) not in (None, os.getpid()):
        raise ValueError(f"{folder} is still running as process {process}; stop it before resuming")


def keep_to_owner(folder: Path, *others: Path) -> None:
    """Let its owner alone read records of Hydra's with a password in them, which the run needs to go on."""
    for path in (*(folder / ".hydra").glob("*"), *others):
        if path.is_file() and (text := path.read_text(encoding="utf-8", errors="replace")) != without_secrets(text):
            path.chmod(0o600)
