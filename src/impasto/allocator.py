"""glibc's allocator keeps large freed blocks instead of giving each back to the kernel."""

import contextlib
import ctypes
import sys

_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_MAX = -1, -2, -4
_GIBIBYTE = 2**30


def keep_freed_memory() -> bool:
    """Keep memory that activations free, for the next activations.

    By default glibc maps every large block anew and pays page faults for each of its pages, layer after layer; on a CPU
    that takes up to half of the time. The price: the process holds its peak until it ends. Returns whether it was done;
    False without glibc.
    """
    if sys.platform != "linux":
        return False
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):
        return False
    settings = ((_M_MMAP_MAX, 0), (_M_TRIM_THRESHOLD, 2 * _GIBIBYTE - 1), (_M_TOP_PAD, 256 * 2**20))
    return all(mallopt(name, value) == 1 for name, value in settings)


def give_back_freed_memory() -> None:
    """Give what is kept back to the kernel, where work of another kind comes next; nothing without glibc."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL("libc.so.6").malloc_trim(0)
