"""One run for all processes that torchrun or srun started: the first decides on its name, and whether it goes on."""

import contextlib
import json
import os
import secrets
import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import partial
from pathlib import Path

from impasto.group import Group, find_group
from impasto.launch.composition import compose_command
from impasto.launch.words import part, prepare_arguments, quote
from impasto.redaction import without_secrets
from impasto.run_folders import RunFolder

_PATIENCE = timedelta(minutes=10)  # until all processes of a group have started
_stores: list[object] = []  # held until the process ends: the first process's serves the others, training included


def join_run(conf: Path, command: str, arguments: Sequence[str]) -> list[str]:
    """Give this process the run's id and the moment of its start, in its environment, as all of its group.

    Returns the arguments or, where torchrun or Slurm started the run again, others that go on in its folder.
    """
    group = find_group()
    agreed = _agree(group, partial(_decide, group, conf, command, arguments))
    begun = agreed.pop("begun")
    os.environ |= agreed
    return prepare_arguments(conf, command, [f"resume={quote(begun)}"]) if begun else list(arguments)


def _decide(group: Group, conf: Path, command: str, arguments: Sequence[str]) -> dict[str, str]:
    """Return variables of the environment and, as "begun", the folder of the run that goes on."""
    in_sweep = "WANDB_SWEEP_ID" in os.environ  # of W&B's agent, which has named the run
    decided = {
        "IMPASTO_RUN_ID": os.environ["WANDB_RUN_ID"] if in_sweep else secrets.token_hex(4),
        "IMPASTO_START": time.strftime("%Y-%m-%d/%H-%M-%S"),
        "begun": _begun(group.launch, conf, command, arguments) if group.restarts else "",
    }
    if group.restarts and group.starter == "torchrun":
        # Its own store still holds the addresses of the processes that died (torch 2.15): training would hang.
        from lightning.fabric.plugins.environments.lightning import find_free_network_port

        decided |= {"MASTER_PORT": str(find_free_network_port()), "TORCHELASTIC_USE_AGENT_STORE": "False"}
    return decided


def _agree(group: Group, decide: Callable[[], dict[str, str]]) -> dict[str, str]:
    """Return what the first process decides, in all of them."""
    if group.size == 1:
        return decide()
    from lightning.fabric.plugins.environments.slurm import SLURMEnvironment
    from torch import distributed

    slurm = SLURMEnvironment(auto_requeue=False) if group.starter == "srun" else None
    address = slurm.main_address if slurm else os.environ["MASTER_ADDR"]
    port = slurm.main_port if slurm else int(os.environ["MASTER_PORT"])
    serves = group.rank == 0 and os.environ.get("TORCHELASTIC_USE_AGENT_STORE") != "True"
    key = f"impasto/{group.restarts}"
    try:
        # Several stores may share the server: that of the training comes later, at the same port.
        store = distributed.TCPStore(  # type: ignore[attr-defined]
            address, port, is_master=serves, timeout=_PATIENCE, wait_for_workers=False, multi_tenant=True
        )
        _stores.append(store)
        if group.rank == 0:
            store.set(key, json.dumps(decide()))
        decided: dict[str, str] = json.loads(store.get(key))
    except distributed.DistError as error:
        reason = str(error).splitlines()[0]
        found = f"the {group.size} processes that {group.starter} started do not find each other at {address}:{port}"
        raise ValueError(f"{found} (MASTER_ADDR and MASTER_PORT name another place): {reason}") from error
    return decided


def _begun(launch: str, conf: Path, command: str, arguments: Sequence[str]) -> str:
    """Return the run folder that this command line began before torchrun or Slurm started it again; "" for none."""
    flags, words, _ = part(arguments)
    if {"--multirun", "-m"} & set(flags) or any(word.startswith("resume=") for word in words):
        return ""  # several runs, or one that says itself where it goes on
    cfg = compose_command(conf, command, arguments)
    if "resume" not in cfg:
        return ""
    folders = [RunFolder(path) for path in (Path(cfg.hydra.run.dir), *Path(cfg.output_root).glob("*/*"))]
    started = [without_secrets(word) for word in ("--config-name", command, *arguments)]  # as the record has them
    begun = {}
    for folder in folders:
        with contextlib.suppress(OSError, ValueError):
            record = folder.read_environment()
            if record.get("launch") == launch and list(record.get("command", []))[1:] == started:
                begun[folder.environment_file.stat().st_mtime] = folder.path
    return str(begun[max(begun)].resolve()) if begun else ""
