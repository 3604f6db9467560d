"""Laws of what the machine is asked: precision, device, description, and the peak of memory."""

import ctypes
import json
import platform
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch

from impasto.hardware import (
    check_device,
    choose_precision,
    computes_bf16,
    describe_machine,
    exact_float32,
    keep_freed_memory,
    peak_memory,
    synchronise,
)

MIB = 2**20


# ---------------------------------------------------------------- precision and device


@pytest.mark.parametrize(("name", "expected"), [("fp32", torch.float32), ("bf16", torch.bfloat16)])
@pytest.mark.parametrize("device", ["cpu", "cuda", "cuda:1"])
def test_a_precision_that_is_named_is_taken(name: str, expected: torch.dtype, device: str) -> None:
    assert choose_precision(name, device) == expected


@pytest.mark.parametrize(
    ("name", "capabilities", "able"),
    [
        ("AMD EPYC 9R14", {}, False),
        ("AMD EPYC 9R14", {"avx512_bf16": False, "amx_bf16": False}, False),
        ("AMD EPYC 9R14", {"avx512_bf16": True}, True),
        ("Intel(R) Xeon(R) Processor", {"avx512_bf16": True}, False),
        ("Intel(R) Xeon(R) Processor", {"avx512_bf16": True, "amx_bf16": True}, True),
        ("AMD EPYC 9R14", {"avx512_f": True}, False),
    ],
)
def test_auto_is_bf16_where_the_processor_is_faster_in_it(
    monkeypatch: pytest.MonkeyPatch, name: str, capabilities: dict[str, bool], able: bool
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities)
    monkeypatch.setattr("impasto.hardware.processor", lambda: name)
    assert computes_bf16() is able
    assert choose_precision("auto", "cpu") == (torch.bfloat16 if able else torch.float32)


@pytest.mark.parametrize(("there", "native"), [(True, True), (True, False), (False, True)])
def test_auto_on_a_gpu_asks_the_gpu_and_takes_no_emulation(
    monkeypatch: pytest.MonkeyPatch, there: bool, native: bool
) -> None:
    asked: list[bool] = []

    def supported(*, including_emulation: bool) -> bool:
        asked.append(including_emulation)
        return native

    monkeypatch.setattr(torch.cuda, "is_available", lambda: there)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", supported)
    assert choose_precision("auto", "cuda:0") == (torch.bfloat16 if there and native else torch.float32)
    assert asked == ([False] if there else [])


@pytest.mark.parametrize("name", ["fp16", "", "FP32", "bfloat16"])
def test_an_unknown_precision_is_refused_with_those_that_exist(name: str) -> None:
    with pytest.raises(ValueError, match=f"unknown precision '{name}'; expected fp32, bf16, auto"):
        choose_precision(name, "cpu")


@pytest.mark.parametrize("device", ["cuda:99", "mps"])
def test_a_gpu_that_is_not_there_is_refused(device: str) -> None:
    if device == "mps" and torch.backends.mps.is_available():
        pytest.skip("there is one")
    with pytest.raises(ValueError, match=f"device={device} needs a GPU.*use device=cpu"):
        check_device(device)
    check_device("cpu")


@pytest.mark.parametrize("device", ["gpu", "meta", "cuda:", "None"])
def test_what_is_no_device_is_refused_with_those_that_are(device: str) -> None:
    with pytest.raises(ValueError, match=f"expected device=cpu, device=cuda, .* got device={device}"):
        check_device(device)


def test_auto_is_fp32_where_nothing_is_known_of_bf16(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": True})
    assert choose_precision("auto", "mps") == torch.float32


def test_exact_float32_is_not_rounded_to_tf32_and_leaves_all_as_it_was() -> None:
    before = torch.backends.cudnn.allow_tf32, torch.get_float32_matmul_precision()
    try:
        torch.set_float32_matmul_precision("high")  # as a training does
        with exact_float32():
            assert not torch.backends.cudnn.allow_tf32 and not torch.backends.cuda.matmul.allow_tf32
        assert torch.backends.cudnn.allow_tf32 == before[0] and torch.get_float32_matmul_precision() == "high"
    finally:
        torch.set_float32_matmul_precision(before[1])


def test_only_a_gpu_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[str] = []
    monkeypatch.setattr(torch.accelerator, "synchronize", waited.append)
    synchronise("cpu")
    assert waited == []
    synchronise("cuda:1")
    assert waited == ["cuda:1"]


# ---------------------------------------------------------------- description


def test_the_description_is_plain_and_names_processor_threads_and_torch() -> None:
    found = describe_machine()
    assert json.loads(json.dumps(found)) == found
    assert found["torch"] == torch.__version__
    assert found["threads"] == torch.get_num_threads()
    assert found["bf16"] is computes_bf16()
    assert found["memory_gib"] == pytest.approx(psutil.virtual_memory().total / 2**30, abs=0.06)
    assert len(found["processor"]) > 2
    assert found["processor"] == found["processor"].strip()


@pytest.mark.parametrize("there", [True, False])
def test_the_description_names_the_gpu_where_there_is_one(monkeypatch: pytest.MonkeyPatch, there: bool) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: there)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "NVIDIA H100")
    assert describe_machine()["gpu"] == ("NVIDIA H100" if there else None)


def test_the_processor_has_a_name_without_linuxs_files(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(self: Path, *arguments: object, **options: object) -> str:
        raise FileNotFoundError(str(self))

    monkeypatch.setattr("platform.processor", lambda: "arm")
    monkeypatch.setattr(Path, "read_text", missing)
    assert describe_machine()["processor"] == "arm"


# ---------------------------------------------------------------- memory

PROGRAM = """
from impasto.hardware import keep_freed_memory
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
    assert (result.returncode, result.stdout.strip()) == (0, "True"), result.stderr


def test_a_system_without_glibc_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> Any:
        raise OSError(f"{name}: cannot open shared object file")

    monkeypatch.setattr(ctypes, "CDLL", missing)
    assert keep_freed_memory() is False


def _held() -> int:
    return int(psutil.Process().memory_info().rss)


def test_the_peak_is_what_was_held_inside_at_the_highest() -> None:
    with peak_memory("cpu") as peak:
        assert peak.bytes == 0
        before = _held()
        block = torch.ones(200 * MIB // 4)
        del block
    assert peak.bytes > before + 150 * MIB


def test_a_peak_before_the_measurement_does_not_count() -> None:
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    except OSError:
        pytest.skip("the kernel does not let the highest mark be set back")
    with peak_memory("cpu") as high:
        block = torch.ones(200 * MIB // 4)
        del block
    with peak_memory("cpu") as low:
        pass
    assert low.bytes < high.bytes - 120 * MIB
    assert abs(low.bytes - _held()) < 50 * MIB


def test_without_linuxs_files_the_peak_is_what_is_held(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(self: Path, *arguments: object, **options: object) -> str:
        raise FileNotFoundError(str(self))

    monkeypatch.setattr(Path, "read_text", missing)
    monkeypatch.setattr(Path, "write_text", missing)
    with peak_memory("cpu") as peak:
        pass
    assert abs(peak.bytes - _held()) < 50 * MIB


def test_the_peak_of_a_gpu_is_pytorchs(monkeypatch: pytest.MonkeyPatch) -> None:
    marks: list[int] = [10**9]
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", lambda device: marks.clear())
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda device: max(marks))
    with peak_memory("cuda:0") as peak:
        marks.extend([5, 70, 20])
    assert peak.bytes == 70


def test_an_error_inside_is_passed_on() -> None:
    with pytest.raises(RuntimeError, match=re.escape("inside")), peak_memory("cpu"):
        raise RuntimeError("inside")


def test_the_peak_before_an_error_is_told() -> None:
    with pytest.raises(RuntimeError, match="inside"), peak_memory("cpu") as peak:
        raise RuntimeError("inside")
    assert peak.bytes > 10 * MIB
