"""Pickles planted where this project reads its own files: refused in a line, and never run."""

import json
import os
import pickle
import runpy
import shutil
import stat
import sys
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from fourier.cli.main import main
from fourier.config import SpectrogramConfig
from fourier.corpora import load_corpus
from fourier.digest import digest_of
from fourier.errors import ConfigError, StudyError
from fourier.features.cache import CacheWarning
from fourier.features.pcm import open_pcm
from fourier.features.store import FeatureStore
from fourier.release.packaging import PROGRAM_FILE
from fourier.release.runs import parse_config
from fourier.search.storage import open_storage, study_lock

GTZAN = Path(__file__).parents[1] / "experiments" / "sweep_gtzan.py"
SMALL = SpectrogramConfig(n_mels=8, n_fft=512)


class Trap:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return Path.touch, (self.mark,)


@pytest.fixture
def mark(tmp_path):
    """What a trap that went off leaves; it never may, and the trap must be a live one."""
    path = tmp_path / "ran"
    yield path
    assert not path.exists()
    pickle.loads(pickle.dumps(Trap(path)))  # noqa: S301 (our own)
    assert path.exists()


@pytest.fixture(scope="module")
def cached(tmp_path_factory, tiny_gtzan):
    """A cache with decoded audio and one entry of features."""
    cache = tmp_path_factory.mktemp("filled")
    FeatureStore(open_pcm(load_corpus(tiny_gtzan), cache, jobs=1), cache, torch.device("cpu")).get(
        SMALL
    )
    return cache


@pytest.fixture
def cache(cached, tmp_path):
    return shutil.copytree(cached, tmp_path / "cache")


def seal_again(manifest, **changes):
    """What somebody does who knows how the cache is checked."""
    fields = json.loads(manifest.read_text())
    fields = {**{key: value for key, value in fields.items() if key != "seal"}, **changes}
    manifest.write_text(json.dumps({**fields, "seal": digest_of(fields)}))


def with_objects(path, trap):
    np.save(path, np.array([trap], dtype=object), allow_pickle=True)


def as_pickle(path, trap):
    path.write_bytes(pickle.dumps(trap))


def sealed_pickle(path, trap):
    import zlib

    whole, clips = path.read_bytes(), len(np.load(path))
    row = np.load(path)[0].nbytes
    header = whole[: len(whole) - clips * row]
    data = pickle.dumps(trap).ljust(clips * row, b"\0")
    path.write_bytes(header + data)
    checksums = [zlib.crc32(data[row * i : row * (i + 1)]) for i in range(clips)]
    seal_again(path.with_suffix(".json"), checksums=checksums)


@pytest.mark.parametrize(
    ("pattern", "plant", "noticed"),
    [
        ("features/*/*.npy", with_objects, True),
        ("features/*/*.npy", as_pickle, True),
        ("features/*/*.npy", sealed_pickle, False),
        ("features/*/*.json", as_pickle, True),
        ("pcm/*/clips.int16", as_pickle, True),
        ("pcm/*/clips.json", as_pickle, True),
    ],
)
def test_a_pickle_in_the_cache_is_made_anew_or_is_only_numbers(
    cache, cached, tiny_gtzan, mark, pattern, plant, noticed
):
    (place,) = [path for path in cache.glob(pattern) if path.name[0] != "."]
    plant(place, Trap(mark))

    def features():
        pcm = open_pcm(load_corpus(tiny_gtzan), cache, jobs=1)
        return FeatureStore(pcm, cache, torch.device("cpu")).get(SMALL)

    if noticed:
        with pytest.warns(CacheWarning, match="is damaged"):
            found = features()
        whole = np.load(next(cached.glob("features/*/*.npy")))
        np.testing.assert_array_equal(found.numpy(), whole)
    else:
        assert features().dtype == torch.float16


def test_a_pickle_in_the_place_of_a_journal_is_refused(tmp_path, mark):
    as_pickle(tmp_path / "studies.journal", Trap(mark))
    with pytest.raises(StudyError, match="is no journal of studies"):
        open_storage(str(tmp_path / "studies.journal"))


def test_a_pickle_in_the_place_of_a_configuration_is_refused(mark):
    with pytest.raises(ConfigError, match="does not describe an experiment"):
        parse_config(pickle.dumps(Trap(mark)), "0")


def test_a_pickle_in_the_place_of_a_marker_is_refused(tmp_path, tiny_deam, mark, capsys):
    root = shutil.copytree(tiny_deam, tmp_path / "deam")
    as_pickle(root / "fourier-demo.json", Trap(mark))
    assert main(["check", str(root)]) == 1
    assert capsys.readouterr().err.count("\n") == 1


def foreign_model(folder, mark):
    """An MLflow model of a stranger's: a Python function, which MLflow itself would unpickle."""
    folder.mkdir()
    as_pickle(folder / "python_model.pkl", Trap(mark))
    (folder / "MLmodel").write_text(
        "flavors:\n  python_function:\n    loader_module: mlflow.pyfunc.model\n"
        "    python_model: python_model.pkl\n    cloudpickle_version: 3.1.2\n"
    )


def pytorch_model(folder, mark):
    """The flavour that this project writes, with a pickle in the place of the program."""
    (folder / PROGRAM_FILE).parent.mkdir(parents=True)
    torch.save(Trap(mark), folder / PROGRAM_FILE)


def checkpoint(path, mark):
    torch.save({"state_dict": Trap(mark)}, path)


def weights(path, mark):
    as_pickle(path, Trap(mark))


@pytest.mark.parametrize(
    "plant", [foreign_model, pytorch_model, checkpoint, weights], ids=lambda plant: plant.__name__
)
@pytest.mark.parametrize("name", ["model", "model.pt2", "weights.safetensors"])
def test_a_pickle_in_the_place_of_a_model_is_refused_in_a_line(tmp_path, mark, capsys, plant, name):
    soundfile.write(tmp_path / "song.wav", np.zeros(8000), 8000)
    plant(tmp_path / name, mark)
    assert main(["predict", str(tmp_path / "song.wav"), "--model", str(tmp_path / name)]) == 1
    err = capsys.readouterr().err
    assert err.startswith("error: ")
    assert err.count("\n") == 1


WATCH = []
"""What was unpickled since; an audit hook cannot be taken away, so it writes where it is let."""


@contextmanager
def unpickled():
    """Names that any unpickler in this process looks up."""
    names = []
    if not WATCH:
        WATCH.append(None)

        def hook(event, arguments):
            if event == "pickle.find_class" and WATCH[0] is not None:
                WATCH[0].append(".".join(map(str, arguments[-2:])))

        sys.addaudithook(hook)
    WATCH[0] = names
    yield names
    WATCH[0] = None


@contextmanager
def masked(mask):
    before = os.umask(mask)
    yield
    os.umask(before)


def test_a_sweep_unpickles_nothing_and_what_it_writes_is_its_users_own(
    workplace, own_cache, tiny_gtzan, monkeypatch, capsys
):
    words = ["--data", tiny_gtzan, "--protocol", "track", "--trials", "1", "--epochs", "1"]
    monkeypatch.setattr(sys, "argv", [str(GTZAN), *map(str, words), "--device=cpu", "--jobs=1"])
    with masked(0o077), unpickled() as names, pytest.raises(SystemExit) as end:
        runpy.run_path(str(GTZAN), run_name="__main__")
    assert end.value.code == 0, capsys.readouterr().err
    assert names == []
    with unpickled() as names:
        pickle.loads(pickle.dumps(Path("a")))  # noqa: S301 (our own)
    assert names == ["pathlib.PosixPath"]
    check_modes([workplace, own_cache], 0o077)


@pytest.mark.parametrize("mask", [0o022, 0o002, 0o000])
def test_the_cache_and_the_journal_have_the_modes_that_the_user_wants(
    tmp_path, monkeypatch, tiny_gtzan, mask
):
    monkeypatch.chdir(tmp_path)
    with masked(mask):
        cache = tmp_path / "cache"
        pcm = open_pcm(load_corpus(tiny_gtzan), cache, jobs=1)
        FeatureStore(pcm, cache, torch.device("cpu")).get(SMALL)
        open_storage(None)
        with study_lock("a", None):
            pass
    assert (tmp_path / "mlruns" / "studies.journal").is_file()
    check_modes([tmp_path], mask)


def check_modes(folders, mask):
    """Nothing is open to those whom the mask keeps out, and no file may be run."""
    for path in [path for folder in folders for path in folder.rglob("*")]:
        if path.name.startswith("mlflow.db"):
            continue  # the tests' own copy, whose modes SQLite gives its logs too
        mode = stat.S_IMODE(path.stat().st_mode)
        assert mode & mask == 0, (path, oct(mode))
        assert not mode & 0o7000, (path, oct(mode))
        assert path.is_dir() or not mode & 0o111, (path, oct(mode))
