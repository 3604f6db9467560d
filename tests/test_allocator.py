"""Laws of the allocator's settings; what changes a process is done in another one."""

import ctypes
import platform
import subprocess
import sys
from typing import Any

import pytest

from impasto.allocator import keep_freed_memory

PROGRAM = """
from impasto.allocator import keep_freed_memory
done = keep_freed_memory()
import torch
for value in (1.0, 2.0, 3.0):
    large = torch.full((64, 2**18), value)
    assert (large * 2).mean().item() == 2 * value
    del large
print(done)
"""


@pytest.mark.slow
@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="needs glibc")
def test_glibc_takes_the_settings_and_large_tensors_still_work() -> None:
    result = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=120, check=False)
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip() == "True"


def test_another_system_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("impasto.allocator.sys.platform", "darwin")
    monkeypatch.setattr(ctypes, "CDLL", lambda name: pytest.fail("touched"))
    assert keep_freed_memory() is False


def test_linux_without_glibc_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> Any:
        raise OSError(f"{name}: cannot open shared object file")

    monkeypatch.setattr("impasto.allocator.sys.platform", "linux")
    monkeypatch.setattr(ctypes, "CDLL", missing)
    assert keep_freed_memory() is False
