"""One job of Hydra's: from its configuration to an exit code, with the run folder kept true."""

import gc
import importlib
import logging
import os
import re
import shlex
import warnings
from contextlib import nullcontext
from importlib import metadata
from pathlib import Path
from typing import NoReturn

from hydra.core.hydra_config import HydraConfig
from hydra.errors import CompactHydraException, InstantiationException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException

from impasto.group import requeue
from impasto.hardware import keep_freed_memory
from impasto.launch.composition import check_targets
from impasto.launch.resume import begin_again, keep_to_owner, saved_config
from impasto.launch.start import fail
from impasto.redaction import without_secrets
from impasto.run_folders import RunFolder
from impasto.tracking.recording import Pruned, StartAgain, recorded

log = logging.getLogger(__name__)

_EXPECTED = (ValueError, OSError, FloatingPointError, OmegaConfBaseException)
_INTERRUPTED = "IMPASTO_INTERRUPTED"  # in the environment of a process that does one job after the other for joblib


def job(cfg: DictConfig) -> None:
    """Run one job: Hydra's task function. Its errors become one sentence, and the run folder's status."""
    if _INTERRUPTED in os.environ:
        raise CompactHydraException("not begun: the multirun was interrupted")
    warnings.filterwarnings("ignore", module="lightning")  # advice on workers and logging, meant for programmers
    keep_freed_memory()
    folder = Path(HydraConfig.get().runtime.output_dir)
    try:
        _run(cfg, folder)
    except Pruned as error:
        log.info("%s", error)
    except StartAgain as error:
        _end(f"{error}; {requeue()}", 130)
    except KeyboardInterrupt as error:
        command = HydraConfig.get().job.config_name
        go_on = f"; go on with: impasto {command} resume={shlex.quote(str(folder))}" if "resume" in cfg else ""
        _end(f"{str(error) or 'interrupted'}{go_on}", 130)
    except Exception as error:
        if os.environ.get("HYDRA_FULL_ERROR") == "1":  # as Hydra reads it
            raise
        _end(_sentence(error, folder), 1)


def _run(cfg: DictConfig, folder: Path) -> None:
    """Run the command; in a run folder, unless it is one that only reads them."""
    hydra = HydraConfig.get()
    command = str(hydra.job.config_name)
    keeps_record = cfg.folder is not None
    if keeps_record:
        cfg = _prepare(cfg, folder)
    elif hydra.mode == RunMode.MULTIRUN:
        raise ValueError(f"'impasto {command.replace('_', ' ')}' runs once; expected no --multirun")
    config = None if cfg.get("resume") else OmegaConf.to_yaml(cfg, resolve=True)
    with recorded(folder, config=config) if keeps_record else nullcontext():
        check_targets(cfg)
        if not isinstance(cfg.seed, int | None) or (cfg.seed or 0) < 0:
            raise ValueError(f"expected seed to be a whole number of at least 0, got {cfg.seed}")
        module = importlib.import_module(f"impasto.commands.{command}")
        for name in ("lightning.pytorch", "lightning.fabric"):  # importing it sets it to INFO: devices, tips
            logging.getLogger(name).setLevel(logging.WARNING)
        if not gc.isenabled():  # see `cli.main`
            gc.freeze()  # what the imports made stays to the end
            gc.enable()
        module.run(cfg)
        begin_again(cfg)  # where nothing was left to do
    if keeps_record:
        log.info("run folder: %s", folder)


def _end(message: str, code: int) -> NoReturn:
    """End the process, or this job where others go on."""
    hydra = HydraConfig.get()
    one_by_one = str(hydra.launcher._target_).endswith(".BasicLauncher")
    if hydra.mode == RunMode.MULTIRUN and (code != 130 or not one_by_one):
        if code == 130:  # the other jobs are still saving; those that this process would do next are left
            os.environ[_INTERRUPTED] = "1"
        message = without_secrets(message if code == 130 else f"error: {message}")
        log.error("%s", message)
        raise CompactHydraException(message)
    fail(message, code)


def _prepare(cfg: DictConfig, folder: Path) -> DictConfig:
    """The configuration with its run folder and id, or that of the run which is resumed."""
    hydra = HydraConfig.get()
    if (folder / "study.json").exists():
        raise ValueError(f"hydra.run.dir={folder} has a study already, which would be lost; give another folder")
    if cfg.get("resume") is not None:
        cfg = saved_config(cfg, folder)
    else:
        with open_dict(cfg):
            cfg.folder = str(folder)
            if hydra.mode == RunMode.MULTIRUN:
                cfg.run_id = f"{cfg.run_id}-{hydra.job.num}"
    above = Path(hydra.sweep.dir)
    keep_to_owner(folder, above / "multirun.yaml", *above.glob(".submitit/*/*.pkl"))
    return cfg


def _sentence(error: Exception, folder: Path) -> str:
    if isinstance(error, InstantiationException):  # Hydra wraps what a constructor raises
        if not isinstance(error.__cause__, _EXPECTED):
            return " ".join(str(error).split())
        error = error.__cause__
    if isinstance(error, ModuleNotFoundError):
        package = str(error.name).split(".")[0]
        for requirement in metadata.requires("impasto") or []:
            if extra := re.match(rf"{package}\b.*; extra == ['\"](?!dev)(\w+)", requirement):
                return f"this needs {package}, which is not installed; expected pip install -e '.[{extra[1]}]'"
    if isinstance(error, MissingMandatoryValue):
        return f"nothing is given for {error.full_key}; expected {error.full_key}=<value>, which --help explains"
    if isinstance(error, OSError) and error.errno is not None:
        return f"{error.strerror}: {error.filename}" if error.filename else str(error)
    if isinstance(error, _EXPECTED):
        return str(error)
    if "unable to allocate shared memory" in str(error):  # PyTorch's, in a worker
        return "/dev/shm is too small for what the workers read; expected data.num_workers=0, or docker --shm-size=1g"
    what = f"{type(error).__name__}: {error}"
    run = RunFolder(folder)
    kept = run.status().get("error") == what
    where = f"the traceback is in {run.status_file}" if kept else "HYDRA_FULL_ERROR=1 shows the traceback"
    return f"{what} (unexpected; {where})"
