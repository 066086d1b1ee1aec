"""Main memory that a training keeps between its steps, and gives back at its end.

Every step frees what it held (gradients, maps of activations) and asks for as much again. The GNU C
library hands blocks of that size back to the system, which then clears every page anew: a third to
two thirds of a convolutional network's training on a processor. Not here: a GPU's memory, which
torch keeps by itself; how much there may be, which belongs to whoever starts the process.
"""

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch

# Names and values of the GNU C library's <malloc.h>.
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_MMAP_MAX = -1, -3, -4
NEVER = -1
# Where its own adapting ends, as soon as a process has freed a block of 32 MiB.
MMAP_THRESHOLD, TRIM_THRESHOLD, MMAP_MAX = 32 * 2**20, 64 * 2**20, 65_536


@contextmanager
def memory_kept(device: torch.device) -> Iterator[None]:
    """Freed memory stays with the process until the end.

    The peak is higher by what lies between blocks that are in use: for two convolutions by a sixth
    after an epoch, and by a tenth more after twenty-five.

    Nothing is done for devices other than the processor, nor without the GNU C library. Only what
    the process's first thread allocates is kept.

    Args:
        device: where the work is done.
    """
    name = "CS_GNU_LIBC_VERSION"
    if device.type != "cpu" or name not in os.confstr_names or not os.confstr(name):
        yield
        return
    libc = ctypes.CDLL(None)
    libc.mallopt(M_MMAP_MAX, 0)
    libc.mallopt(M_TRIM_THRESHOLD, NEVER)
    try:
        yield
    finally:
        libc.mallopt(M_MMAP_MAX, MMAP_MAX)
        libc.mallopt(M_MMAP_THRESHOLD, MMAP_THRESHOLD)
        libc.mallopt(M_TRIM_THRESHOLD, TRIM_THRESHOLD)
        libc.malloc_trim(0)
