"""Memory during a training: cleared once, not at every step, and given back."""

import os
import resource
from pathlib import Path

import pytest
import torch

from fourier.training.memory import memory_kept

MIB = 2**20
LARGE = 200 * MIB

pytestmark = pytest.mark.skipif(
    "CS_GNU_LIBC_VERSION" not in os.confstr_names, reason="needs the GNU C library"
)


class WentWrongError(Exception):
    """What ends a training early."""


def _fill_and_free(size: int = LARGE) -> None:
    torch.ones(size, dtype=torch.uint8)


def _resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def test_a_freed_block_is_used_again_without_a_fresh_page():
    with memory_kept(torch.device("cpu")):
        _fill_and_free()
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        _fill_and_free(LARGE // 2)
        fresh = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
    assert fresh * resource.getpagesize() < MIB


@pytest.mark.parametrize("error", [None, WentWrongError])
def test_what_was_kept_is_given_back_at_the_end(error):
    before = _resident_bytes()
    try:
        with memory_kept(torch.device("cpu")):
            _fill_and_free()
            assert _resident_bytes() > before + LARGE // 2
            if error is not None:
                raise error
    except WentWrongError:
        pass
    assert _resident_bytes() < before + LARGE // 4


def test_afterwards_freed_blocks_are_kept_no_more():
    with memory_kept(torch.device("cpu")):
        pass
    before = _resident_bytes()
    # Larger than any hole that a test before may have left.
    _fill_and_free(4 * LARGE)
    assert _resident_bytes() < before + LARGE


def test_for_another_device_nothing_is_kept():
    before = _resident_bytes()
    with memory_kept(torch.device("cuda")):
        _fill_and_free(4 * LARGE)
        assert _resident_bytes() < before + LARGE
