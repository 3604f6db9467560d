"""What the machine can do, and what it takes: its description, bf16, glibc's allocator, and the peak of memory."""

import contextlib
import ctypes
import platform
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import torch

# mallopt's numbers for M_MMAP_MAX, M_TRIM_THRESHOLD and M_TOP_PAD, with no block mapped, and bytes that are kept.
_KEEPING = {-4: 0, -1: 2**31 - 1, -2: 2**28}


def computes_bf16(device: str = "cpu") -> bool:
    """Whether the hardware computes in bfloat16 faster than in float32.

    Emulated, it is slower; and so it is by the vector instructions of Intel's processors that have no AMX, where a
    convolution reaches 172 GFLOP/s in place of 303 (Xeon, Sapphire Rapids in a virtual machine, 2 threads, torch 2.14).
    """
    if device.startswith("cuda"):
        return torch.cuda.is_available() and torch.cuda.is_bf16_supported(including_emulation=False)
    if device != "cpu":
        return False
    able = torch.cpu.get_capabilities()
    return bool(able.get("amx_bf16") or (able.get("avx512_bf16") and "intel" not in processor().lower()))


def fastest_precision(device: str) -> torch.dtype:
    """Return bfloat16 where the hardware computes in it, else float32."""
    return torch.bfloat16 if computes_bf16(device) else torch.float32


def choose_precision(name: str, device: str) -> torch.dtype:
    """Turn "fp32", "bf16" or "auto" (bf16 where the hardware computes in it) into a dtype."""
    known = {"fp32": torch.float32, "bf16": torch.bfloat16, "auto": fastest_precision(device)}
    if name not in known:
        raise ValueError(f"unknown precision '{name}'; expected {', '.join(known)}")
    return known[name]


def check_device(device: str) -> None:
    """Refuse what is no device's name, or one that PyTorch does not find."""
    if not re.fullmatch(r"cpu|mps|cuda(:\d+)?", str(device)):
        raise ValueError(f"expected device=cpu, device=cuda, device=cuda:<number> or device=mps, got device={device}")
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:  # which one depends on what PyTorch was built for
        raise ValueError(f"device={device} needs a GPU that PyTorch does not find here; use device=cpu") from error


@contextmanager
def exact_float32() -> Iterator[None]:
    """Keep a GPU from rounding what convolutions and products take to TF32, by default PyTorch's float32 there."""
    convolutions, products = torch.backends.cudnn.allow_tf32, torch.get_float32_matmul_precision()
    torch.backends.cudnn.allow_tf32 = False
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32 = convolutions
        torch.set_float32_matmul_precision(products)


def describe_machine() -> dict[str, Any]:
    """Return what a reader of timings wants to know: processor, cores, threads, memory, GPU, torch."""
    return {
        "platform": platform.platform(),
        "processor": processor(),
        "cores": psutil.cpu_count(logical=False),
        "threads": torch.get_num_threads(),
        "bf16": computes_bf16(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "torch": torch.__version__,
    }


def processor() -> str:
    """Return the processor's name; Linux has it in a file, elsewhere Python knows it."""
    return _line("/proc/cpuinfo", "model name") or platform.processor() or platform.machine()


def _line(file: str, key: str) -> str | None:
    """What a file of the kernel says of a key."""
    with contextlib.suppress(OSError):
        for line in Path(file).read_text(encoding="utf-8").splitlines():
            if line.startswith(key):
                return line.split(":", 1)[1].strip()
    return None


def keep_freed_memory() -> bool:
    """Keep memory that activations free, for the next activations; return whether it was done (by glibc alone).

    By default glibc maps every large block anew and pays page faults for each of its pages, layer after layer; on a CPU
    that takes up to half of the time. The price: the process holds its peak until it ends.
    """
    return all(_glibc("mallopt", setting, value) == 1 for setting, value in _KEEPING.items())


def give_back_freed_memory() -> None:
    """Give what is kept back to the kernel, where work of another kind comes next; nothing without glibc."""
    _glibc("malloc_trim", 0)


def _glibc(name: str, *arguments: int) -> int:
    with contextlib.suppress(OSError, AttributeError):
        return int(getattr(ctypes.CDLL("libc.so.6"), name)(*arguments))
    return 0


def synchronise(device: str) -> None:
    """Wait until a GPU has done what it was given; the clock may then be read."""
    if device != "cpu":
        torch.accelerator.synchronize(device)


@dataclass
class Peak:
    """Bytes at the highest, known when the measurement ends."""

    bytes: int = 0


@contextmanager
def peak_memory(device: str) -> Iterator[Peak]:
    """Measure the most memory that is held while the body runs: the process's on a CPU, PyTorch's on a GPU.

    On Linux the kernel keeps the highest mark, which is set back first; elsewhere it is what is held at the end.
    """
    peak = Peak()
    if device.startswith("cuda"):
        torch.cuda.reset_peak_memory_stats(device)
        try:
            yield peak
        finally:
            peak.bytes = torch.cuda.max_memory_allocated(device)
        return
    give_back_freed_memory()  # which is not counted
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    try:
        yield peak
    finally:
        mark = _line("/proc/self/status", "VmHWM")
        peak.bytes = int(mark.split()[0]) * 1024 if mark else int(psutil.Process().memory_info().rss)
