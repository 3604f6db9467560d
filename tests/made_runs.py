"""Run folders as impasto writes them, made in a moment: for the report's tests."""

import json
import os
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

HOSTILE = [
    "</script><script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "[here](javascript:alert(1))",
    "{{7*7}} {% raw %}",
    "<!-- <script>",
    "a\u2028b\u2029c",
    "caf\u00e9 \u202egnp.exe",
]


def make_run(
    folder: Path,
    *,
    status: str = "finished",
    command: str = "train",
    config: dict[str, Any] | None = None,
    metrics: dict[str, list[float]] | None = None,
    **record: object,
) -> Path:
    """Write a run folder: what every command leaves, and metrics.

    Args:
        folder: to make.
        status: of its end.
        command: of impasto.
        config: keys beside the common ones.
        metrics: values by name, one a step.
        record: further keys of status.json.
    """
    folder.mkdir(parents=True, exist_ok=True)
    told = {"status": status, "started": "2026-11-23T20:00:00+0000", "pid": 2**22, "seconds": 61.5, **record}
    (folder / "status.json").write_text(json.dumps(told))
    plain = {"seed": 0, "run_id": folder.name, "folder": str(folder), "name": "smoke_train", "resume": None}
    (folder / "config.yaml").write_text(json.dumps(plain | (config or {})))  # JSON is YAML
    environment = {
        "command": ["impasto", "--config-name", command, "logger=csv"],
        "folder": str(folder.parent),
        "packages": {"torch": "2.15.0"},
        "processor": "AMD EPYC",
    }
    (folder / "environment.json").write_text(json.dumps(environment))
    if metrics:
        write_metrics(folder, metrics)
    return folder


def write_metrics(folder: Path, metrics: dict[str, list[float]]) -> None:
    """Write metrics.csv, one row a step; blank behind the end of a shorter metric."""
    columns = [[repr(value) for value in values] for values in metrics.values()]
    rows = [["step", *metrics], *([str(step), *row] for step, row in enumerate(zip_longest(*columns, fillvalue="")))]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "metrics.csv").write_text("\n".join(",".join(row) for row in rows) + "\n")


def make_image(path: Path, *, seed: int = 0, size: tuple[int, int] = (60, 40), noise: bool = False) -> Path:
    """Write a picture that no other seed has."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    if noise:
        pixels = rng.integers(0, 256, (size[1] + seed % 97, size[0], 3), dtype=np.uint8)  # another size in bytes, too
    else:
        pixels = np.broadcast_to(rng.integers(0, 256, 3, dtype=np.uint8), (size[1], size[0], 3)).copy()
    Image.fromarray(pixels).save(path)
    return path


def make_samples(folder: Path, *, photographs: int = 2, steps: int = 2, seed: int = 0, noise: bool = False) -> None:
    """Write samples as a training does."""
    for photograph in range(photographs):
        make_image(folder / f"samples/photographs/photo_{photograph}.png", seed=photograph, noise=noise)
        for step in range(1, steps + 1):
            number = 1000 + seed * 1000 + photograph * 100 + step
            make_image(folder / f"samples/step_{step * 100:06d}/photo_{photograph}.png", seed=number, noise=noise)


def is_root() -> bool:
    """Whether permissions stop nobody here."""
    return hasattr(os, "geteuid") and os.geteuid() == 0
