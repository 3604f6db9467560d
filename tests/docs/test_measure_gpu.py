"""docs/measure/gpu.sh: in small it runs on the CPU, every step ends well; at full size every command composes."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Result

from impasto.cli import conf_dir

pytestmark = pytest.mark.slow


def _run(folder: Path, *path: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    root = conf_dir().parent
    places = [*map(str, path), str(Path(sys.executable).parent), os.environ["PATH"]]
    return subprocess.run(
        ["bash", "docs/measure/gpu.sh", str(folder)],
        cwd=root,
        env={**os.environ, "JOBS": "1", "PATH": os.pathsep.join(places), "PYTHONPATH": str(root / "src"), **variables},
        capture_output=True,
        text=True,
        check=False,
    )


def test_every_command_at_full_size_composes(
    tmp_path: Path, impasto: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("impasto.launch.start.run_hydra", lambda conf: None)  # which composes it a second time
    stand_in = tmp_path / "bin/timeout"  # what every step is started by
    stand_in.parent.mkdir()
    stand_in.write_text(f"#!/bin/bash\nprintf '%s\\n' \"${{@:3}}\" end >>{tmp_path}/commands\n")
    stand_in.chmod(0o755)
    ended = _run(tmp_path / "out", stand_in.parent, DEVICE="cuda", SMALL="0")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    commands = [lines.split("\n") for lines in (tmp_path / "commands").read_text().split("\nend\n")[:-1]]
    assert len(commands) >= 30
    for words in commands:
        if words[:3] == ["python", "-m", "impasto.cli"]:
            result = impasto(*words[3:])
            assert result.code == 0, f"{words}: {result.err}"


def test_in_small_every_step_ends_well_on_the_cpu(tmp_path: Path) -> None:
    ended = _run(tmp_path, DEVICE="cpu", SMALL="1", MINUTES="30")
    logs = {log.stem: log.read_text(encoding="utf-8")[-500:] for log in (tmp_path / "logs").iterdir()}
    steps = re.findall(r"^\| (\w\S*) \| (\d+) \| \d+ \|$", ended.stdout, re.MULTILINE)
    assert [(name, logs[name]) for name, code in steps if code != "0"] == []
    assert ended.returncode == 0 and len(steps) >= 15, ended.stdout + ended.stderr
    page = (tmp_path / "gpu.md").read_text(encoding="utf-8")
    assert {"johnson_table1", "engines", "iizuka_seconds", "training_speed"} <= set(re.findall("^## (.*)$", page, re.M))
    assert "| **Command** | `impasto benchmark " in page and str(tmp_path) not in page
    assert {"johnson2016_style.csv", "gatys_speed.json", "rocket.jpg"} <= {
        f.name for f in (tmp_path / "tables").iterdir()
    }
