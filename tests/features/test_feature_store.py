"""The feature store: right values, computed once, kept within budgets, and safe from damage."""

import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from fourier.config import SpectrogramConfig
from fourier.corpora import Corpus
from fourier.errors import CacheError
from fourier.features import entries
from fourier.features.cache import CacheWarning, DamagedEntryError, locked
from fourier.features.pcm import PcmStore, open_pcm
from fourier.features.spectrogram import Spectrogram
from fourier.features.store import FeatureStore

CPU = torch.device("cpu")
CONFIG = SpectrogramConfig(n_fft=512, hop_length=128, n_mels=16, fmax=4000)
OTHERS = [
    SpectrogramConfig(n_fft=512, hop_length=128, n_mels=16, fmax=3000 + 100 * n) for n in range(3)
]
MFCC = SpectrogramConfig(
    kind="mfcc", n_fft=512, hop_length=128, n_mels=16, n_mfcc=13, fmax=4000, normalization="none"
)
ODD = dataclasses.replace(CONFIG, n_fft=500)  # no power of two
SHAPE = (6, 16, 32)
BYTES = 2 * 6 * 16 * 32 + 128  # numbers and the .npy's header


@pytest.fixture
def pcm(make_corpus: Callable[..., Corpus], own_cache: Path) -> PcmStore:
    return open_pcm(make_corpus({"a": [0.0, 0.5, 1.0], "b": [0.0, 0.7, 1.5]}), own_cache, jobs=1)


@pytest.fixture
def store(pcm: PcmStore, own_cache: Path) -> FeatureStore:
    return FeatureStore(pcm, own_cache, CPU)


def expected(pcm: PcmStore, config: SpectrogramConfig) -> torch.Tensor:
    audio = torch.from_numpy(pcm.audio.astype(np.float32) / 32768)
    return Spectrogram(config, pcm.sample_rate)(audio).half()


def entry_path(store: FeatureStore, cache: Path, config: SpectrogramConfig = CONFIG) -> Path:
    return cache / "features" / store.pcm.digest / f"{config.feature_digest}.npy"


def stored(cache: Path) -> set[str]:
    return {path.stem for path in (cache / "features").glob("*/*.npy")}


@pytest.mark.parametrize("config", [CONFIG, MFCC, ODD])
@pytest.mark.parametrize("clips_at_once", [1, 4, 100])
def test_features_are_the_spectrograms_of_the_clips(
    store: FeatureStore,
    monkeypatch: pytest.MonkeyPatch,
    config: SpectrogramConfig,
    clips_at_once: int,
) -> None:
    monkeypatch.setattr("fourier.features.compute.CLIPS_AT_ONCE", clips_at_once)
    features = store.get(config)
    assert features.dtype == torch.float16
    assert features.shape == (6, config.bands, 32)
    error = (features.float() - expected(store.pcm, config).float()).abs().max()
    assert error <= 0.0626  # one step of float16, where batches round differently


def test_features_are_computed_once_and_come_back_to_the_bit(
    store: FeatureStore, own_cache: Path
) -> None:
    first = store.get(CONFIG)
    again = store.get(CONFIG)
    elsewhere = FeatureStore(store.pcm, own_cache, CPU)
    assert again.data_ptr() == first.data_ptr()
    assert torch.equal(elsewhere.get(CONFIG), first)
    assert (store.computed, elsewhere.computed) == (1, 0)


def test_normalization_shares_an_entry_and_nothing_else_does(
    store: FeatureStore, own_cache: Path
) -> None:
    for normalization in ("unit", "standardize", "none"):
        store.get(
            SpectrogramConfig(
                n_fft=512, hop_length=128, n_mels=16, fmax=4000, normalization=normalization
            )
        )
    assert store.computed == 1
    store.get(OTHERS[0])
    assert store.computed == 2
    assert len(stored(own_cache)) == 2


def test_the_file_is_an_ordinary_npy(store: FeatureStore, own_cache: Path) -> None:
    features = store.get(CONFIG)
    loaded = np.load(entry_path(store, own_cache))
    assert loaded.dtype == np.float16
    assert np.array_equal(loaded, features.numpy())


def test_entries_of_several_blocks_are_read_in_the_right_places(
    store: FeatureStore, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(entries, "BYTES_AT_ONCE", 4 * BYTES // 6)
    features = store.get(CONFIG)
    assert torch.equal(FeatureStore(store.pcm, own_cache, CPU).get(CONFIG), features)


def test_blocks_find_their_places_on_a_device(
    store: FeatureStore, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(entries, "BYTES_AT_ONCE", 4 * BYTES // 6)
    features = store.get(CONFIG)
    path = entry_path(store, own_cache)
    checksums = json.loads(path.with_suffix(".json").read_text())["checksums"]
    target = torch.zeros(SHAPE, dtype=torch.float16)
    with path.open("rb") as file:  # as for a GPU, which reads in the same way
        reader = entries._ClipReader(file, BYTES - features.nbytes, SHAPE, checksums, target)
        assert reader.at_once == 4
        for start in (4, 0):
            reader.read(start)
    assert torch.equal(target, features)


def flip_bit_at(place: float) -> Callable[[Path], None]:
    def flip(path: Path) -> None:
        data = bytearray(path.read_bytes())
        data[int(place * (len(data) - 1))] ^= 16
        path.write_bytes(data)

    return flip


def truncate(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 2)


def other_manifest(path: Path) -> None:
    manifest = path.with_suffix(".json")
    manifest.write_text(manifest.read_text().replace('"format": 1', '"format":  2'))
    manifest.write_text(manifest.read_text().replace("[6, 16, 32]", "[6, 32, 16]"))


DAMAGES = {
    "bit in the header": (flip_bit_at(0.0), "its header is not what was written"),
    "bit in the middle": (flip_bit_at(0.5), "its clip 2 is not what was written"),
    "bit at the end": (flip_bit_at(1.0), "its clip 5 is not what was written"),
    "truncated": (truncate, r"it has \d+ bytes instead of \d+"),
    "no features": (Path.unlink, "its features are missing"),
    "manifest changed": (other_manifest, "its manifest was changed"),
    "manifest garbled": (lambda p: p.with_suffix(".json").write_text("{"), "cannot be read"),
}


@pytest.mark.parametrize(("damage", "words"), DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_entry_is_computed_anew_with_a_warning(
    store: FeatureStore, own_cache: Path, damage: Callable[[Path], None], words: str
) -> None:
    features = store.get(CONFIG).clone()
    damage(entry_path(store, own_cache))
    second = FeatureStore(store.pcm, own_cache, CPU)
    with pytest.warns(CacheWarning, match=f"^computing anew: .*{words}"):
        assert torch.equal(second.get(CONFIG), features)
    third = FeatureStore(store.pcm, own_cache, CPU)
    assert torch.equal(third.get(CONFIG), features)
    assert (second.computed, third.computed) == (1, 0)


def test_an_entry_without_its_manifest_is_as_good_as_none(
    store: FeatureStore, own_cache: Path
) -> None:
    store.get(CONFIG)
    entry_path(store, own_cache).with_suffix(".json").unlink()
    second = FeatureStore(store.pcm, own_cache, CPU)
    second.get(CONFIG)
    assert second.computed == 1


def test_the_least_recently_used_entry_leaves_the_disk(pcm: PcmStore, own_cache: Path) -> None:
    store = FeatureStore(pcm, own_cache, CPU, disk_budget=2 * BYTES)
    for config in (OTHERS[0], OTHERS[1], OTHERS[0], OTHERS[2]):
        store.get(config)
    assert stored(own_cache) == {OTHERS[0].feature_digest, OTHERS[2].feature_digest}
    assert not list((own_cache / "features").rglob("*.tmp"))
    elsewhere = FeatureStore(pcm, own_cache, CPU, disk_budget=2 * BYTES)
    elsewhere.get(OTHERS[0])
    assert elsewhere.computed == 0
    elsewhere.get(OTHERS[1])  # the least recently used one is now the third
    assert stored(own_cache) == {OTHERS[0].feature_digest, OTHERS[1].feature_digest}


def test_the_newest_entry_stays_even_over_the_budget(pcm: PcmStore, own_cache: Path) -> None:
    store = FeatureStore(pcm, own_cache, CPU, disk_budget=1)
    for config in OTHERS:
        store.get(config)
        assert stored(own_cache) == {config.feature_digest}


def test_a_clock_that_was_wrong_does_not_keep_old_entries(pcm: PcmStore, own_cache: Path) -> None:
    store = FeatureStore(pcm, own_cache, CPU, disk_budget=BYTES)
    store.get(OTHERS[0])
    tomorrow = time.time() + 86_400
    os.utime(entry_path(store, own_cache, OTHERS[0]).with_suffix(".json"), (tomorrow, tomorrow))
    store.get(OTHERS[1])
    assert stored(own_cache) == {OTHERS[1].feature_digest}


def test_an_entry_of_another_shape_is_damaged(store: FeatureStore, own_cache: Path) -> None:
    store.get(CONFIG)
    with pytest.raises(
        DamagedEntryError, match=r"the shape \[6, 16, 32\] instead of \[6, 32, 16\]"
    ):
        entries.load_entry(entry_path(store, own_cache), (6, 32, 16), CPU)


def test_an_entry_that_somebody_makes_is_not_evicted(pcm: PcmStore, own_cache: Path) -> None:
    store = FeatureStore(pcm, own_cache, CPU, disk_budget=1)
    store.get(OTHERS[0])
    with locked(entry_path(store, own_cache, OTHERS[0])):
        store.get(OTHERS[1])
    assert stored(own_cache) == {config.feature_digest for config in OTHERS[:2]}
    store.get(OTHERS[2])
    assert stored(own_cache) == {OTHERS[2].feature_digest}


def test_an_eviction_does_not_take_away_what_somebody_reads(pcm: PcmStore, own_cache: Path) -> None:
    store = FeatureStore(pcm, own_cache, CPU, disk_budget=1)
    features = store.get(OTHERS[0])
    store.get(OTHERS[1])
    assert torch.equal(features, expected(pcm, OTHERS[0]))
    assert torch.equal(store.get(OTHERS[0]), features)


def test_the_least_recently_used_tensor_leaves_the_device(pcm: PcmStore, own_cache: Path) -> None:
    store = FeatureStore(pcm, own_cache, CPU, device_budget=2 * BYTES)
    kept = {config: store.get(config) for config in OTHERS[:2]}
    store.get(OTHERS[0])
    store.get(OTHERS[2])
    assert store.get(OTHERS[0]).data_ptr() == kept[OTHERS[0]].data_ptr()
    assert store.get(OTHERS[1]).data_ptr() != kept[OTHERS[1]].data_ptr()
    assert store.computed == 3


def test_changing_a_tensor_does_not_change_the_entry(store: FeatureStore, own_cache: Path) -> None:
    before = store.get(CONFIG).clone()
    store.get(CONFIG).zero_()
    assert torch.equal(FeatureStore(store.pcm, own_cache, CPU).get(CONFIG), before)


def test_fmax_above_nyquist_is_a_value_error(store: FeatureStore, own_cache: Path) -> None:
    with pytest.raises(ValueError, match="`fmax <= sample_rate / 2` must hold"):
        store.get(SpectrogramConfig(fmax=4001))
    assert store.computed == 0


def test_a_cache_that_is_a_file_is_one_line(pcm: PcmStore, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(CacheError, match=r"cannot be used \(Not a directory\): .*FOURIER_CACHE$"):
        FeatureStore(pcm, tmp_path / "file", CPU).get(CONFIG)


ASK = """
    import os, signal, sys, time
    from pathlib import Path
    import librosa.filters, numpy as np, pandas as pd, torch
    from fourier.config import SpectrogramConfig
    from fourier.features import store as module
    from fourier.features.pcm import PcmStore

    path, checksums, digest, cache, mode, processes = sys.argv[1:]
    torch.set_num_threads(1)  # so that it may fork
    at_full_speed = module.compute_on_processor

    def slowly(pcm, spectrogram, put):
        def put_slowly(number, features):
            put(number, features)
            if mode == "kill" and number == 3:
                os.kill(os.getpid(), signal.SIGKILL)
            time.sleep(0.05)

        at_full_speed(pcm, spectrogram, put_slowly)

    module.compute_on_processor = slowly
    pcm = PcmStore(path=Path(path), clips=pd.DataFrame(index=range(6)), left_out=pd.DataFrame(),
                   sample_rate=8000, samples=4000, digest=digest,
                   checksums=np.array(checksums.split(","), np.uint32))
    for _ in range(int(processes) - 1):
        if not os.fork():
            break
    store = module.FeatureStore(pcm, Path(cache), torch.device("cpu"))
    features = store.get(SpectrogramConfig(n_fft=512, hop_length=128, n_mels=16, fmax=4000))
    os.write(1, f"{store.computed} {features.numpy().tobytes().hex()[-64:]}\\n".encode())
    while True:
        try:
            os.wait()
        except ChildProcessError:
            break
"""


def ask_elsewhere(pcm: PcmStore, cache: Path, *how: object) -> subprocess.CompletedProcess[str]:
    checksums = ",".join(map(str, pcm.checksums))
    arguments = [pcm.path, checksums, pcm.digest, cache, *how]
    command = [sys.executable, "-c", textwrap.dedent(ASK), *map(str, arguments)]
    return subprocess.run(command, check=False, capture_output=True, text=True)


def test_four_processes_that_ask_at_once_compute_once(store: FeatureStore, own_cache: Path) -> None:
    answers = [
        line.split() for line in ask_elsewhere(store.pcm, own_cache, "live", 4).stdout.splitlines()
    ]
    assert sorted(computed for computed, _ in answers) == ["0", "0", "0", "1"]
    expected_end = store.get(CONFIG).numpy().tobytes().hex()[-64:]
    assert {end for _, end in answers} == {expected_end}
    assert store.computed == 0


def test_a_process_killed_in_the_middle_leaves_no_entry(
    store: FeatureStore, own_cache: Path
) -> None:
    killed = ask_elsewhere(store.pcm, own_cache, "kill", 1)
    assert (killed.stdout, killed.returncode) == ("", -signal.SIGKILL)
    assert stored(own_cache) == set()
    assert len(list((own_cache / "features").rglob("*.tmp"))) == 1
    store.get(OTHERS[0])  # another one, and yet what was left is tidied up
    assert not list((own_cache / "features").rglob("*.tmp"))
    store.get(CONFIG)
    assert store.computed == 2


def test_a_full_disk_is_one_line_and_leaves_nothing(
    store: FeatureStore, own_cache: Path, disk_full_at: Callable
) -> None:
    message = rf"^the cache {own_cache} cannot be used \(File too large\): .*FOURIER_CACHE$"
    with disk_full_at(3000), pytest.raises(CacheError, match=message):
        store.get(CONFIG)
    assert stored(own_cache) == set()
    assert not list((own_cache / "features").rglob("*.tmp"))
    assert torch.equal(store.get(CONFIG), FeatureStore(store.pcm, own_cache, CPU).get(CONFIG))


def test_how_many_threads_compute_changes_no_bit(pcm: PcmStore, tmp_path: Path) -> None:
    threads = torch.get_num_threads()
    try:
        found = []
        for count in (1, 3):
            torch.set_num_threads(count)
            found.append(FeatureStore(pcm, tmp_path / str(count), CPU).get(CONFIG))
            assert torch.get_num_threads() == count
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(*found)


@pytest.mark.parametrize("config", [CONFIG, MFCC])
@pytest.mark.parametrize("budget", [10**9, BYTES])  # room for the clips, and none
def test_features_live_in_memory_and_on_the_disk_where_a_device_has_its_own(
    pcm: PcmStore, own_cache: Path, config: SpectrogramConfig, budget: int
) -> None:
    store = FeatureStore(pcm, own_cache, CPU, device_budget=budget, resident=True)
    features = store.get(config)
    store.settle()
    again = FeatureStore(pcm, own_cache, CPU)
    assert torch.equal(again.get(config), features)
    assert (store.computed, again.computed) == (1, 0)
    error = (features.float() - expected(pcm, config).float()).abs().max()
    assert error <= 0.0626
    assert not features.is_inference()


def test_features_are_there_before_they_are_written(
    pcm: PcmStore, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = threading.Event()
    write = entries.write_entry

    def late(*arguments: object) -> None:
        written.wait()
        write(*arguments)

    monkeypatch.setattr("fourier.features.store.write_entry", late)
    store = FeatureStore(pcm, own_cache, CPU, resident=True)
    features = store.get(CONFIG)
    assert stored(own_cache) == set()
    written.set()
    store.settle()
    assert stored(own_cache) == {CONFIG.feature_digest}
    assert torch.equal(store.get(CONFIG), features)


def test_what_goes_wrong_while_writing_is_said_by_whoever_comes_next(
    pcm: PcmStore, own_cache: Path, disk_full_at: Callable
) -> None:
    for comes_next in (FeatureStore.settle, lambda store: store.get(OTHERS[0])):
        store = FeatureStore(pcm, own_cache, CPU, resident=True)
        with disk_full_at(3000):
            features = store.get(CONFIG)
            with pytest.raises(CacheError, match="File too large"):
                comes_next(store)
        assert torch.equal(store.get(CONFIG), features)
        assert stored(own_cache) == set()
        assert not list((own_cache / "features").rglob("*.tmp"))


def test_a_clip_that_is_damaged_is_said_at_once_on_any_device(
    pcm: PcmStore, own_cache: Path
) -> None:
    flip_bit_at(0.9)(pcm.path)
    for resident, budget in ((False, None), (True, 10**9), (True, 1)):
        reopened = dataclasses.replace(pcm)  # as another process opens it
        store = FeatureStore(reopened, own_cache, CPU, device_budget=budget, resident=resident)
        with pytest.raises(CacheError, match="is damaged at clip 5"):
            store.get(CONFIG)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
def test_a_gpu_holds_the_same_features(pcm: PcmStore, own_cache: Path, tmp_path: Path) -> None:
    gpu = torch.device("cuda")
    for config in (CONFIG, MFCC):
        computed = FeatureStore(pcm, tmp_path / "gpu", gpu).get(config)
        loaded = FeatureStore(pcm, tmp_path / "gpu", gpu).get(config)
        assert computed.device.type == "cuda"
        assert torch.equal(computed, loaded)
        on_cpu = FeatureStore(pcm, own_cache, CPU).get(config)
        assert (computed.cpu().float() - on_cpu.float()).abs().max() <= 0.0626
    shutil.rmtree(tmp_path / "gpu")
