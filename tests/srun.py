"""Slurm's srun on one machine, for tests: starts processes with its variables, hands signals on, requeues once.

    python srun.py <number of processes> train ...

The libraries are imported once and the processes forked, which saves their seconds.
"""

import os
import signal
import sys
from pathlib import Path
from types import FrameType


def _start(number: int, size: int, restarts: int, arguments: list[str]) -> int:
    if pid := os.fork():
        return pid
    job = {"JOB_ID": 4321, "STEP_ID": 0, "JOB_NAME": "train", "NODELIST": "127.0.0.1", "NNODES": 1, "NODEID": 0}
    tasks = {"NTASKS": size, "NTASKS_PER_NODE": size, "PROCID": number, "LOCALID": number, "RESTART_COUNT": restarts}
    os.environ |= {f"SLURM_{name}": str(value) for name, value in (job | tasks).items()}
    from impasto.cli import main

    sys.argv = ["impasto", *arguments]
    main()
    raise SystemExit(0)


def _run(size: int, restarts: int, arguments: list[str]) -> int:
    children = [_start(number, size, restarts, arguments) for number in range(size)]

    def hand_on(number: int, frame: FrameType | None) -> None:
        for child in children:
            os.kill(child, number)

    signal.signal(signal.SIGUSR1, hand_on)
    codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    return next((code for code in codes if code), 0)


if __name__ == "__main__":
    import hydra  # noqa: F401
    import lightning.pytorch.trainer  # noqa: F401

    import impasto.commands.train  # noqa: F401

    code = _run(int(sys.argv[1]), 0, sys.argv[2:])
    if Path("requeued.txt").exists():  # which the tests' scontrol writes
        code = _run(int(sys.argv[1]), 1, sys.argv[2:])
    raise SystemExit(code)
