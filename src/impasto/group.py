"""The processes that train one network together, as torchrun, Slurm's srun or Lightning started them."""

import os
import platform
import subprocess
from typing import NamedTuple

_INTERACTIVE = ("bash", "interactive")  # names of Slurm jobs in which Lightning starts the processes itself


class Group(NamedTuple):
    """The processes that torchrun or srun started."""

    starter: str  # "torchrun" or "srun"; "" where there is neither
    rank: int  # of this process
    size: int  # processes
    restarts: int  # how often the starter has started them again
    launch: str  # names this start and all its restarts; "" where nothing restarts


def find_group() -> Group:
    """Return the group that this process was started in; a group of one where it was started alone."""
    environment = os.environ
    if "TORCHELASTIC_RUN_ID" in environment:
        import psutil

        agent = psutil.Process(os.getppid())
        started = f"{platform.node()} {agent.pid} {agent.create_time():.2f}"
        launch = f"torchrun {environment['TORCHELASTIC_RUN_ID']} {started}"
        restarts = int(environment.get("TORCHELASTIC_RESTART_COUNT", 0))
        return Group("torchrun", int(environment["RANK"]), int(environment["WORLD_SIZE"]), restarts, launch)
    if "SLURM_NTASKS" in environment and environment.get("SLURM_JOB_NAME") not in _INTERACTIVE:
        rank, size = int(environment.get("SLURM_PROCID", 0)), int(environment["SLURM_NTASKS"])
        if size > 1 and "SLURM_NTASKS_PER_NODE" not in environment:
            raise ValueError(f"srun started {size} processes by --ntasks; expected --ntasks-per-node, and --nodes")
        cluster, step = environment.get("SLURM_CLUSTER_NAME", ""), environment.get("SLURM_STEP_ID", "")
        launch = f"slurm {cluster} {slurm_job()} {step}"
        return Group("srun", rank, size, int(environment.get("SLURM_RESTART_COUNT", 0)), launch)
    return Group("", 0, 1, 0, "")


def usable_cores(*, processes: int = 1) -> int:
    """Return how many cores each of some processes that share this machine may use, at least one."""
    # What taskset and containers allow; macOS and Windows do not say. Slurm's are this process's own.
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return cores if "SLURM_CPUS_PER_TASK" in os.environ else max(1, cores // processes)


def slurm_job() -> str:
    """Return the id of the Slurm job as scontrol takes it, that of an array included."""
    if "SLURM_ARRAY_JOB_ID" in os.environ:
        return f"{os.environ['SLURM_ARRAY_JOB_ID']}_{os.environ.get('SLURM_ARRAY_TASK_ID', '')}"
    return os.environ.get("SLURM_JOB_ID", "")


def requeue() -> str:
    """Ask Slurm to start this job again, once for the group; say whether it will."""
    if not is_first_process():
        return ""
    try:
        subprocess.run(["scontrol", "requeue", slurm_job()], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        return f"scontrol does not requeue job {slurm_job()}: {getattr(error, 'stderr', '') or error}".rstrip()
    return f"Slurm starts job {slurm_job()} again, which goes on with it"


def rank() -> int:
    """Return the number of this process in its group, whoever started it; 0 is the first."""
    ranks = (os.environ.get(name, "0") for name in ("RANK", "SLURM_PROCID", "LOCAL_RANK"))
    return next((int(text) for text in ranks if text != "0"), 0)


def is_first_process() -> bool:
    """Whether this process writes the run folder; in a group of processes only the first does."""
    return rank() == 0


def check_size(devices: int, nodes: int) -> None:
    """Refuse a trainer of fewer or more processes than were started: they would wait, or train apart."""
    group = find_group()
    if (group.size > 1 or group.starter == "torchrun") and devices * nodes != group.size:
        expected = "expected as many by trainer.devices x trainer.num_nodes"
        raise ValueError(f"{group.starter} started {group.size} processes; {expected}, got {devices} x {nodes}")
