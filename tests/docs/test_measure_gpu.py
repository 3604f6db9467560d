"""docs/measure/gpu.sh: in small it runs on the CPU, every step ends well; at full size every command composes."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Result

from impasto.cli import conf_dir

pytestmark = pytest.mark.slow

# What every step is started by: it asks for a command in a file, and ends as it is answered.
TIMEOUT = """#!/bin/bash
printf '%s\\n' "${{@:3}}" >{0}/asking && mv {0}/asking {0}/asked
until [[ -f {0}/answered ]]; do sleep 0.02; done
cat {0}/told && code=$(<{0}/answered) && rm {0}/answered && exit $code
"""


def _run(
    folder: Path, impasto: Callable[..., Result], script_of_ours: Callable[[list[str]], Result], **variables: str
) -> tuple[int, str]:
    """Run the script, its commands in this process: a start of Python takes longer than most of them in small."""
    root, desk = conf_dir().parent, folder / "desk"
    desk.mkdir()
    (desk / "timeout").write_text(TIMEOUT.format(desk))
    (desk / "timeout").chmod(0o755)
    path = os.pathsep.join([str(desk), str(Path(sys.executable).parent), os.environ["PATH"]])
    variables |= {"JOBS": "1", "PATH": path, "PYTHONPATH": str(root / "src")}
    words = ["bash", "docs/measure/gpu.sh", str(folder / "out")]
    with (folder / "console").open("w+") as console:
        script = subprocess.Popen(words, cwd=root, env=os.environ | variables, stdout=console, stderr=console)
        while script.poll() is None:
            if (desk / "asked").exists():
                command = (desk / "asked").read_text().splitlines()
                ours = command[:3] == ["python", "-m", "impasto.cli"]
                result = impasto(*command[3:]) if ours else script_of_ours(command)
                (desk / "asked").unlink()
                (desk / "told").write_text(result.out + result.err)
                (desk / "code").write_text(str(result.code))
                (desk / "code").replace(desk / "answered")
            time.sleep(0.02)
    return script.returncode, (folder / "console").read_text()


def test_every_command_at_full_size_composes(
    tmp_path: Path, impasto: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("impasto.launch.start.run_hydra", lambda conf: None)  # which composes it a second time
    results = dict[tuple[str, ...], Result]()

    def compose(*words: str) -> Result:
        results[words] = impasto(*words)
        return results[words]

    code, out = _run(tmp_path, compose, lambda command: Result(0, "", ""), DEVICE="cuda", SMALL="0")
    for words, result in results.items():
        assert result.code == 0, f"{words}: {result.err}"
    assert code == 0 and len(results) >= 29, out


def test_in_small_every_step_ends_well_on_the_cpu(tmp_path: Path, impasto: Callable[..., Result]) -> None:
    def start(command: list[str]) -> Result:
        ended = subprocess.run(command, cwd=conf_dir().parent, capture_output=True, text=True, check=False)
        return Result(ended.returncode, ended.stdout, ended.stderr)

    code, out = _run(tmp_path, impasto, start, DEVICE="cpu", SMALL="1", MINUTES="30")
    logs = {log.stem: log.read_text(encoding="utf-8")[-500:] for log in (tmp_path / "out/logs").iterdir()}
    steps = re.findall(r"^\| (\w\S*) \| (\d+) \| \d+ \|$", out, re.MULTILINE)
    assert [(name, logs[name]) for name, code in steps if code != "0"] == []
    assert code == 0 and len(steps) >= 15, out
    page = (tmp_path / "out/gpu.md").read_text(encoding="utf-8")
    assert {"johnson_table1", "engines", "iizuka_seconds", "training_speed"} <= set(re.findall("^## (.*)$", page, re.M))
    assert "| **Command** | `impasto benchmark " in page and str(tmp_path) not in page
    assert {"johnson2016_style.csv", "gatys_speed.json", "rocket.jpg"} <= {
        f.name for f in (tmp_path / "out/tables").iterdir()
    }
