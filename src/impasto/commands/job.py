"""One job of Hydra's: from its configuration to an exit code, with the run folder kept true."""

import importlib
import logging
import os
import warnings
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException

from impasto.allocator import keep_freed_memory
from impasto.commands.config import check_config
from impasto.files import write_text
from impasto.group import is_first_process, requeue
from impasto.redaction import without_secrets
from impasto.run_folders import RunFolder, read_status, running_process
from impasto.suggest import did_you_mean
from impasto.tracking.run_folder import Pruned, StartAgain, begin, recorded

log = logging.getLogger(__name__)

_EXTRAS = {  # packages that not everyone installs, with the extra that brings them
    "cmaes": "sweep",
    "fastapi": "study",
    "onnxruntime": "onnx",
    "onnxscript": "onnx",
    "openvino": "openvino",
    "optuna": "sweep",
    "scipy": "study",
    "statsmodels": "study",
    "uvicorn": "study",
    "litdata": "shards",
}
_EXPECTED = (ValueError, OSError, FloatingPointError, OmegaConfBaseException)


def run_job(cfg: DictConfig, command: str) -> tuple[str, int]:
    """Run a command in its run folder.

    Args:
        cfg: as Hydra composed it; resuming takes the configuration of the run that is resumed.
        command: its name.

    Returns:
        What to tell the user and the exit code: "" and 0, an error and 1, or how to go on and 130.
    """
    warnings.filterwarnings("ignore", module="lightning")  # advice on workers and logging, meant for programmers
    keep_freed_memory()
    folder = Path(HydraConfig.get().runtime.output_dir)
    keeps_record = cfg.folder is not None  # the commands that only read run folders leave none of their own
    try:
        if not keeps_record and HydraConfig.get().mode == RunMode.MULTIRUN:
            raise ValueError(f"'impasto {command.replace('_', ' ')}' runs once; expected no --multirun")
        if keeps_record and (folder / "study.json").exists():
            raise ValueError(f"hydra.run.dir={folder} has a study already, which would be lost; give another folder")
        cfg = _prepare(cfg, folder) if keeps_record else cfg
        if keeps_record:
            above = Path(HydraConfig.get().sweep.dir)
            _keep_to_owner(folder, above / "multirun.yaml", *above.glob(".submitit/*/*.pkl"))
        config = None if cfg.get("resume") else OmegaConf.to_yaml(cfg, resolve=True)
        with recorded(folder, config=config) if keeps_record else nullcontext():
            check_config(cfg)
            _check_seed(cfg)
            module = importlib.import_module(f"impasto.commands.{command}")
            for name in ("lightning.pytorch", "lightning.fabric"):  # importing it sets it to INFO: devices, tips
                logging.getLogger(name).setLevel(logging.WARNING)
            module.run(cfg)
            begin_again(cfg)  # where nothing was left to do
    except StartAgain as error:
        return f"{error}; {requeue()}", 130
    except KeyboardInterrupt as error:
        return str(error) or "interrupted", 130
    except Pruned as error:
        log.info("%s", error)
        return "", 0
    except Exception as error:
        if os.environ.get("HYDRA_FULL_ERROR") == "1":  # as Hydra reads it
            raise
        return _sentence(error, folder), 1
    if keeps_record:
        log.info("run folder: %s", folder)
    return "", 0


def _keep_to_owner(folder: Path, *others: Path) -> None:
    """Hydra's records must keep a password, so that the run can go on: its owner alone reads them then."""
    for path in (*(folder / ".hydra").glob("*"), *others):
        if path.is_file() and (text := path.read_text(encoding="utf-8", errors="replace")) != without_secrets(text):
            path.chmod(0o600)


def _check_seed(cfg: DictConfig) -> None:
    if not isinstance(cfg.seed, int | None) or (cfg.seed or 0) < 0:
        raise ValueError(f"expected seed to be a whole number of at least 0, got {cfg.seed}")


def _sentence(error: Exception, folder: Path) -> str:
    cause = error.__cause__ or error  # Hydra wraps what a constructor raises
    if type(error).__name__ == "InstantiationException" and isinstance(cause, _EXPECTED):
        error = cause
    package = str(getattr(error, "name", "")).split(".")[0]
    if isinstance(error, ModuleNotFoundError) and (extra := _EXTRAS.get(package)):
        return f"this needs {package}, which is not installed; expected pip install 'impasto[{extra}]'"
    if isinstance(error, MissingMandatoryValue):
        return f"nothing is given for {error.full_key}; expected {error.full_key}=<value>, which --help explains"
    if isinstance(error, OSError) and error.errno is not None:
        return f"{error.strerror}: {error.filename}" if error.filename else str(error)
    if isinstance(error, _EXPECTED):
        return str(error)
    if "unable to allocate shared memory" in str(error):  # PyTorch's, in a worker
        return "/dev/shm is too small for what the workers read; expected data.num_workers=0, or docker --shm-size=1g"
    told = f"{type(error).__name__}: {error}"
    kept = read_status(folder).get("error") == told
    where = f"the traceback is in {RunFolder(folder).status_file}" if kept else "HYDRA_FULL_ERROR=1 shows the traceback"
    return f"{told} (unexpected; {where})"


def _prepare(cfg: DictConfig, folder: Path) -> DictConfig:
    hydra = HydraConfig.get()
    if cfg.get("resume") is not None:
        words: Any = OmegaConf.to_container(hydra.overrides.task, resolve=False)  # as they were given
        return _saved(cfg, folder, words)
    with open_dict(cfg):
        cfg.folder = str(folder)
        if hydra.mode == RunMode.MULTIRUN:
            cfg.run_id = f"{cfg.run_id}-{hydra.job.num}"
    return cfg


def _saved(cfg: DictConfig, folder: Path, overrides: list[str]) -> DictConfig:
    """The configuration of the run that is resumed, with the values that this command line changes.

    Hydra's record of it is not resolved, so that what depends on a changed value follows it.
    """
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
            raise ValueError(
                f"a resumed run keeps its {key}; start a new run for {str(override.input_line).lstrip('+')}"
            )
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

    Args:
        cfg: of the command.
    """
    if not cfg.get("resume") or not is_first_process():
        return
    folder = Path(cfg.folder)
    if running_process(folder) != os.getpid():
        _refuse_running(folder)
        write_text(folder / ".hydra" / "config.yaml", OmegaConf.to_yaml(cfg))
        _keep_to_owner(folder)
        begin(folder, config=OmegaConf.to_yaml(cfg, resolve=True))


def _keep_paths(saved: DictConfig, folder: Path) -> None:
    """Photographs and results are where they were, whichever folder this command line was given in."""
    first = RunFolder(folder).read_environment()["folder"]
    if "images" in saved:
        images = [saved.images] if isinstance(saved.images, str) else list(saved.images)
        saved.images = [os.path.join(first, Path(image).expanduser()) for image in images]  # noqa: PTH118 (patterns)
    told: Any = OmegaConf.to_container(saved, resolve=False)
    output = str(told.get("output", "${folder}"))
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
    if (process := running_process(folder)) not in (None, os.getpid()):
        raise ValueError(f"{folder} is still running as process {process}; stop it before resuming")
