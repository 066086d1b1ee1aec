"""The PCM store: what is in it, that it is made once, and what happens when it is hurt."""

import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile as sf

from fourier.corpora import Corpus, load_corpus
from fourier.corpora.corpus import left_out_frame
from fourier.errors import CacheError, CorpusError
from fourier.features import pcm as pcm_module
from fourier.features.cache import CacheWarning
from fourier.features.clips import to_int16
from fourier.features.decode import decode
from fourier.features.pcm import PcmStore, open_pcm

MakeCorpus = Callable[..., Corpus]
CLIPS = {"b": [0.5, 0.0, 1.0], "a": [0.25, 1.5], "c": [0.0]}


def assert_holds(store: PcmStore, corpus: Corpus) -> None:
    """Every row is the clip that the table says, to one step of 16 bits (resampled parts)."""
    assert store.audio.shape == (len(store.clips), corpus.samples_per_clip)
    assert store.audio.dtype == np.int16
    for track, clips in store.clips.groupby("track"):
        whole = to_int16(decode(corpus.root / corpus.tracks.at[track, "path"], store.sample_rate))
        for row, start in clips["start"].items():
            clip = whole[round(start * store.sample_rate) :][: store.samples].astype(int)
            assert len(clip) >= store.samples - corpus.missing_samples
            assert np.abs(store.audio[row][: len(clip)] - clip).max() <= 1
            assert not store.audio[row][len(clip) :].any()
            assert clip.std() > 100


def files_under(folder: Path) -> set[str]:
    return {path.name for path in folder.rglob("*") if path.is_file() and path.suffix != ".lock"}


@pytest.mark.parametrize("native", [8_000, 11_025])
def test_row_i_is_clip_i(make_corpus: MakeCorpus, own_cache: Path, native: int) -> None:
    corpus = make_corpus(CLIPS, native=native)
    store = open_pcm(corpus, own_cache, jobs=1)
    assert_holds(store, corpus)
    assert store.sample_rate == 8_000
    assert store.clips["track"].tolist() == ["a", "a", "b", "b", "b", "c"]
    assert store.clips["start"].tolist() == [0.25, 1.5, 0.0, 0.5, 1.0, 0.0]
    assert list(store.clips.columns) == ["track", "start", "label"]
    assert store.left_out.to_numpy().tolist() == [["notes.txt", "no audio"]]


def test_samples_become_the_nearest_step_and_full_scale_is_clipped() -> None:
    steps = np.array([0, 0.4, 0.6, -0.6, 1.5, 32766.6, 32768, -32768], np.float32)
    assert to_int16(steps / 32768).tolist() == [0, 0, 1, -1, 2, 32767, 32767, -32768]


def test_the_order_of_the_corpus_does_not_matter(make_corpus: MakeCorpus, own_cache: Path) -> None:
    corpus = make_corpus(CLIPS)
    store = open_pcm(corpus, own_cache, jobs=1)
    turned = dataclasses.replace(corpus, clips=corpus.clips.iloc[::-1].reset_index(drop=True))
    again = open_pcm(turned, own_cache, jobs=1)
    pd.testing.assert_frame_equal(again.clips, store.clips)
    assert again.digest == store.digest


def test_decoding_happens_once(make_corpus: MakeCorpus, own_cache: Path) -> None:
    corpus = make_corpus(CLIPS)
    seen: list[tuple[int, int]] = []
    first = open_pcm(corpus, own_cache, jobs=1, progress=lambda *at: seen.append(at))
    shutil.rmtree(corpus.root)
    second = open_pcm(corpus, own_cache, jobs=1, progress=lambda *at: seen.append(at))
    assert seen == [(1, 3), (2, 3), (3, 3)]
    assert np.array_equal(first.audio, second.audio)
    assert first.digest == second.digest
    assert files_under(own_cache) == {"clips.int16", "clips.json"}


def test_several_processes_give_the_same_store(
    make_corpus: MakeCorpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    corpus = make_corpus({str(n): [0.0, 1.0, 1.6] for n in range(8)})
    alone = open_pcm(corpus, tmp_path / "one", jobs=1)
    monkeypatch.setattr(pcm_module, "SECONDS_PER_PROCESS", 1.0)
    together = open_pcm(corpus, tmp_path / "two", jobs=2)
    assert np.array_equal(alone.audio, together.audio)
    assert alone.digest == together.digest
    pd.testing.assert_frame_equal(alone.left_out, together.left_out)


def test_what_is_not_covered_or_not_decoded_is_left_out_with_a_reason(
    make_corpus: MakeCorpus, own_cache: Path
) -> None:
    corpus = make_corpus({"1": [0.0, 1.4], "2": [0.0], "3": [1.5, 1.6], "4": [1.0]})
    (corpus.root / "2.wav").write_bytes(b"")
    sf.write(corpus.root / "1.wav", np.random.default_rng(9).normal(0, 0.2, 15_199), 8_000)
    store = open_pcm(corpus, own_cache, jobs=1)
    assert store.clips[["track", "start"]].to_numpy().tolist() == [["1", 0], ["3", 1.5], ["4", 1]]
    assert_holds(store, corpus)
    assert store.path.stat().st_size == store.audio.nbytes
    assert store.left_out.to_numpy().tolist() == [
        ["notes.txt", "no audio"],
        ["1 @ 1.4 s", "the audio ends at 1.89 s"],
        ["2", "an empty file"],
        ["3 @ 1.6 s", "the audio ends at 2.00 s"],
    ]
    again = open_pcm(corpus, own_cache, jobs=1)
    pd.testing.assert_frame_equal(again.left_out, store.left_out)
    pd.testing.assert_frame_equal(again.clips, store.clips)


def test_a_clip_may_lack_as_many_samples_as_the_corpus_says(
    make_corpus: MakeCorpus, own_cache: Path
) -> None:
    corpus = make_corpus({"1": [1.5], "2": [1.5]})
    for track, lacking in (("1", 100), ("2", 101)):
        audio = np.random.default_rng(0).normal(0, 0.2, 16_000 - lacking)
        sf.write(corpus.root / f"{track}.wav", audio, 8_000)
    store = open_pcm(dataclasses.replace(corpus, missing_samples=100), own_cache, jobs=1)
    assert store.clips["track"].tolist() == ["1"]
    assert_holds(store, dataclasses.replace(corpus, missing_samples=100))


def test_labels_do_not_change_the_digest_but_samples_do(
    make_corpus: MakeCorpus, tmp_path: Path
) -> None:
    corpus = make_corpus(CLIPS)
    digest = open_pcm(corpus, tmp_path / "1", jobs=1).digest
    relabelled = dataclasses.replace(corpus, clips=corpus.clips.assign(label=0))
    assert open_pcm(relabelled, tmp_path / "2", jobs=1).digest == digest
    fewer = dataclasses.replace(corpus, clips=corpus.clips.iloc[1:])
    assert open_pcm(fewer, tmp_path / "3", jobs=1).digest != digest


def no_file(corpus: Corpus) -> Corpus:
    for path in corpus.root.iterdir():
        path.write_text("no audio\n" * 9)
    return corpus


def no_clip(corpus: Corpus) -> Corpus:
    return dataclasses.replace(corpus, clips=corpus.clips.iloc[:0])


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (no_file, r"no clip of \S+ can be decoded \(a: not an audio format .*\); .*`fourier check"),
        (no_clip, r"\S+ holds no clip; .*`fourier check"),
    ],
)
def test_a_corpus_without_a_clip_is_one_line_and_leaves_nothing(
    make_corpus: MakeCorpus, own_cache: Path, spoil: Callable[[Corpus], Corpus], message: str
) -> None:
    with pytest.raises(CorpusError, match=f"^{message}") as caught:
        open_pcm(spoil(make_corpus(CLIPS)), own_cache, jobs=1)
    assert "\n" not in str(caught.value)
    assert files_under(own_cache) == set()


def truncate(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 1)


def flip_bit(path: Path) -> None:
    with path.open("rb+") as file:
        file.seek(path.stat().st_size // 2)
        byte = file.read(1)[0]
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte ^ 4]))


def damage_row(path: Path) -> None:
    """A row of the manifest that now points to another clip."""
    manifest = path.with_suffix(".json")
    fields = json.loads(manifest.read_text())
    manifest.write_text(json.dumps(fields | {"rows": fields["rows"][::-1]}))


DAMAGES = {
    "truncated": (truncate, r"has \d+ bytes instead of \d+"),
    "a bit": (flip_bit, r"clip \d is not what was written"),
    "no samples": (Path.unlink, "its samples are missing"),
    "manifest changed": (damage_row, "its manifest was changed"),
    "manifest garbled": (
        lambda path: path.with_suffix(".json").write_bytes(b"\xff{"),
        "its manifest cannot be read",
    ),
    "manifest a list": (
        lambda path: path.with_suffix(".json").write_text("[]"),
        "its manifest cannot be read",
    ),
}


@pytest.mark.parametrize(("damage", "words"), DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_store_is_decoded_anew_with_a_warning(
    make_corpus: MakeCorpus, own_cache: Path, damage: Callable, words: str
) -> None:
    corpus = make_corpus(CLIPS)
    damage(open_pcm(corpus, own_cache, jobs=1).path)
    with pytest.warns(CacheWarning, match=f"^decoding anew: .*{words}"):
        store = open_pcm(corpus, own_cache, jobs=1)
    assert_holds(store, corpus)
    open_pcm(corpus, own_cache, jobs=1)  # without a warning


def test_damage_that_keeps_size_and_time_is_found_when_the_clip_is_read(
    make_corpus: MakeCorpus, own_cache: Path
) -> None:
    corpus = make_corpus(CLIPS)
    store = open_pcm(corpus, own_cache, jobs=1)
    status = store.path.stat()
    flip_bit(store.path)
    os.utime(store.path, ns=(status.st_atime_ns, status.st_mtime_ns))
    store = open_pcm(corpus, own_cache, jobs=1)
    assert np.array_equal(store.read(0, 2), store.audio[:2])
    with pytest.raises(CacheError, match=r"is damaged at clip 3; run the same command again"):
        store.read(2, 6)
    assert_holds(open_pcm(corpus, own_cache, jobs=1), corpus)


def test_a_copied_cache_is_believed_after_a_look_at_every_clip(
    make_corpus: MakeCorpus, own_cache: Path, tmp_path: Path
) -> None:
    corpus = make_corpus(CLIPS)
    store = open_pcm(corpus, own_cache, jobs=1)
    shutil.copytree(own_cache, tmp_path / "copy", copy_function=shutil.copyfile)
    shutil.rmtree(corpus.root)
    copied = open_pcm(corpus, tmp_path / "copy", jobs=1)
    assert np.array_equal(copied.audio, store.audio)
    manifest = json.loads(copied.path.with_suffix(".json").read_text())
    assert manifest["modified_ns"] == copied.path.stat().st_mtime_ns  # the next look is short


OPEN_GTZAN = """
    import os, signal, sys, time
    from pathlib import Path
    from fourier.corpora import load_corpus
    from fourier.features.pcm import open_pcm

    def progress(done, total):
        print("decoded", done, flush=True)
        if mode == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(0.02)

    data, cache, mode, processes = sys.argv[1:]
    corpus = load_corpus(Path(data))
    for _ in range(int(processes) - 1):
        if not os.fork():
            break
    clips = len(open_pcm(corpus, Path(cache), jobs=1, progress=progress).clips)
    os.write(1, f"clips {clips}\\n".encode())
    while True:
        try:
            os.wait()
        except ChildProcessError:
            break
"""


def open_elsewhere(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", textwrap.dedent(OPEN_GTZAN), *map(str, arguments)]
    return subprocess.run(command, check=False, capture_output=True, text=True)


@pytest.fixture
def gtzan(tmp_path: Path) -> Path:
    """A folder in GTZAN's layout: ten tracks of three clips."""
    rng = np.random.default_rng(0)
    for genre in ("blues", "rock"):
        folder = tmp_path / "gtzan" / "genres" / genre
        folder.mkdir(parents=True)
        for number in range(5):
            audio = rng.normal(0, 0.1, 9 * 22_050)
            sf.write(folder / f"{genre}.{number:05d}.wav", audio, 22_050)
    return tmp_path / "gtzan"


def test_a_killed_process_leaves_no_entry_and_the_next_one_tidies_up(
    gtzan: Path, own_cache: Path
) -> None:
    killed = open_elsewhere(gtzan, own_cache, "kill", 1)
    assert (killed.stdout, killed.returncode) == ("decoded 1\n", -signal.SIGKILL)
    assert all(name.endswith(".tmp") for name in files_under(own_cache))
    assert len(open_pcm(load_corpus(gtzan), own_cache, jobs=1).clips) == 30
    assert files_under(own_cache) == {"clips.int16", "clips.json"}


def test_four_processes_that_ask_at_once_decode_once(gtzan: Path, own_cache: Path) -> None:
    output = open_elsewhere(gtzan, own_cache, "live", 4).stdout
    assert output.count("clips 30\n") == 4
    assert output.count("decoded") == 10


def test_a_disk_that_refuses_is_one_line_and_leaves_nothing(
    make_corpus: MakeCorpus, own_cache: Path, disk_full_at: Callable
) -> None:
    corpus = make_corpus(CLIPS)
    for limit in (5_000, 47_999):
        message = rf"^the cache {own_cache} cannot be used \(File too large\): .*FOURIER_CACHE$"
        with disk_full_at(limit), pytest.raises(CacheError, match=message):
            open_pcm(corpus, own_cache, jobs=1)
        assert files_under(own_cache) <= {"clips.int16"}
    assert_holds(open_pcm(corpus, own_cache, jobs=1), corpus)


def test_too_little_space_is_said_before_decoding(make_corpus: MakeCorpus, own_cache: Path) -> None:
    corpus = dataclasses.replace(make_corpus(CLIPS), clip_seconds=1e9)
    with pytest.raises(CacheError, match=r"take 96000.0 GB and .* GB free: free some space"):
        open_pcm(corpus, own_cache, jobs=1, progress=lambda *_: pytest.fail("decoding began"))


def test_a_cache_that_is_a_file_is_one_line(make_corpus: MakeCorpus, tmp_path: Path) -> None:
    (tmp_path / "cache").touch()
    with pytest.raises(CacheError, match=r"cannot be used \(Not a directory\): .*FOURIER_CACHE$"):
        open_pcm(make_corpus(CLIPS), tmp_path / "cache", jobs=1)


def test_no_jobs_are_a_value_error(make_corpus: MakeCorpus, own_cache: Path) -> None:
    with pytest.raises(ValueError, match="`jobs` must be"):
        open_pcm(make_corpus(CLIPS), own_cache, jobs=0)


@pytest.mark.realdata
def test_gtzan_mini_gives_599_clips(real_data: Path, own_cache: Path) -> None:
    corpus = load_corpus(real_data / "gtzan-mini")
    store = open_pcm(corpus, own_cache, jobs=1)
    assert store.audio.shape == (599, 66_150)
    assert_holds(store, corpus)


@pytest.mark.realdata
def test_deam_mini_gives_six_clips_a_song(real_data: Path, own_cache: Path) -> None:
    corpus = load_corpus(real_data / "deam-mini")
    store = open_pcm(corpus, own_cache, jobs=1)
    assert store.audio.shape == (42, 220_500)
    assert_holds(store, corpus)


@pytest.mark.realdata
def test_odd_files_are_used_or_listed(
    real_data: Path, own_cache: Path, make_corpus: MakeCorpus, capfd: pytest.CaptureFixture[str]
) -> None:
    names = sorted(path.name for path in (real_data / "odd-audio").iterdir())
    corpus = dataclasses.replace(
        make_corpus({}),
        root=real_data / "odd-audio",
        tracks=pd.DataFrame({"path": names, "group": names}, index=pd.Index(names, name="track")),
        clips=pd.DataFrame({"track": names, "start": 0.0, "label": 0}),
        left_out=left_out_frame([]),
    )
    store = open_pcm(corpus, own_cache, jobs=1)
    assert len(store.clips) + len(store.left_out) == len(names) == 30
    assert len(store.clips) == 15
    assert "test1-24bit.wav" in store.clips["track"].tolist()
    assert ["lame.mp3 @ 0.0 s", "the audio ends at 0.06 s"] in store.left_out.to_numpy().tolist()
    assert capfd.readouterr() == ("", "")
