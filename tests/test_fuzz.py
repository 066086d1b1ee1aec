"""The promises of `fuzz/targets.py`, held to seeds, to what fuzzing found, and to hypothesis."""

import gzip
import importlib.util
import json
import struct
import tarfile
from pathlib import Path

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, given, settings

from fourier.config import TrialConfig

FUZZ = Path(__file__).parents[1] / "fuzz"
SEEDS = sorted(FUZZ.glob("seeds/*/*"))


@pytest.fixture(scope="session")
def targets():
    spec = importlib.util.spec_from_file_location("fuzz_targets", FUZZ / "targets.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.TARGETS_BY_NAME


@pytest.mark.parametrize("seed", SEEDS, ids=lambda path: f"{path.parent.name}-{path.name}")
def test_the_seeds_are_taken(targets, seed):
    targets[seed.parent.name](seed.read_bytes())


def nameless_entry():
    """A zip whose directory lists a member with an empty name."""
    local = struct.pack("<4s5H3L2H", b"PK\x03\x04", 20, 0, 0, 0, 33, 0, 0, 0, 0, 0)
    listed = b"PK\x01\x02" + struct.pack("<6H3L5H2L", 20, 20, 0, 0, 0, 33, *[0] * 10)
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 1, 1, len(listed), len(local), 0)
    return local + listed + end


def tar_header(name, kind, size):
    info = tarfile.TarInfo(name)
    info.type, info.size = kind, size
    return info.tobuf(tarfile.USTAR_FORMAT)


def long_name_bomb():
    """64 MiB of zeros as the name of a member: a few kilobytes, and `tarfile` reads it whole."""
    size = 64 << 20
    return gzip.compress(tar_header("././@LongLink", tarfile.GNUTYPE_LONGNAME, size) + bytes(size))


def trial(**changes):
    return json.dumps(TrialConfig().to_dict() | changes).encode()


def stored(folds):
    """A run's ``config.json`` with these folds."""
    about = {"task": "", "corpus": {"name": "", "digest": ""}, "protocol": "", "objective": ""}
    return json.dumps(about | {"folds": folds, "trial": TrialConfig().to_dict()}).encode()


TRAINING = TrialConfig().to_dict()["training"]
FOUND = {
    "a table without rows": ("annotations", b"song_id,sample_15000ms"),
    "an id of 400 digits": ("annotations", b"song_id,sample_15000ms\n" + b"9" * 400 + b",0"),
    "a sample in a century": ("annotations", b"song_id,sample_999999999999500ms\n1,0"),
    "a sample twice": ("annotations", b"song_id,sample_15000ms,sample_015000ms\n1,0,0"),
    "a header over two lines": ("annotations", b'"a\nb","a\nb"\n'),
    "a nul": ("annotations", b"song_id,sample_15000ms\n1,\0"),
    "a member without a name": ("archives", nameless_entry()),
    "a long name of megabytes": ("archives", long_name_bomb()),
    "a size that is none": ("archives", tar_header("a", b"0", 0).replace(b"0" * 11, b"-" * 11)),
    "a number of 400 digits": ("configs", trial(training=TRAINING | {"lr": 10**400})),
    "a number of 5000 digits": ("configs", b"1" * 5000),
    "nested lists": ("configs", b"[" * 100_000),
    "infinitely many folds": ("configs", stored(float("inf"))),
    "folds in words": ("configs", stored("two")),
    "a setting over two lines": ("configs", trial(**{"a\nb": 1})),
    "bytes that are no text": ("configs", b"\xff\xfe\xfd"),
}


@pytest.mark.parametrize(("name", "data"), FOUND.values(), ids=FOUND)
def test_what_was_found_once_stays_mended(targets, name, data):
    targets[name](data)


def changed(seeds):
    """A seed with bytes replaced, removed or put in."""

    def change(parts):
        seed, edits = parts
        data = bytearray(seed)
        for share, drop, insert in edits:
            place = int(share * len(data))
            data[place : place + drop] = insert
        return bytes(data)

    edit = st.tuples(st.floats(0, 1), st.integers(0, 9), st.binary(max_size=9))
    return st.tuples(st.sampled_from(seeds), st.lists(edit, max_size=6)).map(change)


@pytest.mark.parametrize("name", ["annotations", "configs", "archives"])
def test_seeds_with_a_few_bytes_changed_break_no_promise(targets, name):
    seeds = [path.read_bytes() for path in SEEDS if path.parent.name == name]

    @given(data=st.one_of(changed(seeds), st.binary(max_size=200)))
    @settings(
        max_examples=250, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
    )
    def check(data):
        targets[name](data)

    check()
