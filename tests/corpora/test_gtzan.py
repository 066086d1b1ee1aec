import numpy as np
import pytest
import soundfile

from fourier.corpora import load_corpus, load_gtzan
from fourier.errors import CorpusError


def write_gtzan(root, tracks=2, folder="genres_original", genres=("blues", "rock"), suffix=".wav"):
    for genre in genres:
        (root / folder / genre).mkdir(parents=True)
        for i in range(tracks):
            path = root / folder / genre / f"{genre}.{i:05d}{suffix}"
            soundfile.write(path, np.full(100, i / 100), 22_050, format=suffix[1:].upper())
    return root


@pytest.mark.parametrize("folder", ["genres", "genres_original", "Data/genres_original", "."])
@pytest.mark.parametrize("suffix", [".wav", ".au"])
def test_every_layout_and_both_formats_are_found(folder, suffix, tmp_path):
    corpus = load_corpus(write_gtzan(tmp_path, folder=folder, suffix=suffix))
    assert corpus.tracks.index.tolist() == [
        "blues.00000",
        "blues.00001",
        "rock.00000",
        "rock.00001",
    ]
    assert all((corpus.root / path).is_file() for path in corpus.tracks["path"])


def test_a_track_is_ten_segments_of_three_seconds(tmp_path):
    corpus = load_gtzan(write_gtzan(tmp_path))
    one = corpus.clips[corpus.clips["track"] == "rock.00001"]
    assert one["start"].tolist() == [0, 3, 6, 9, 12, 15, 18, 21, 24, 27]
    assert [corpus.classes[label] for label in one["label"]] == ["rock"] * 10
    assert (corpus.sample_rate, corpus.samples_per_clip) == (22_050, 66_150)


def test_a_track_in_both_formats_counts_once(tmp_path):
    write_gtzan(tmp_path, suffix=".wav")
    write_gtzan(tmp_path / "au", suffix=".au")
    (tmp_path / "au/genres_original/blues/blues.00001.au").rename(
        tmp_path / "genres_original/blues/blues.00001.au"
    )
    corpus = load_gtzan(tmp_path)
    assert corpus.tracks.loc["blues.00001", "path"].endswith(".wav")
    assert corpus.left_out.to_numpy().tolist() == [
        ["blues/blues.00001.au", "the same track as .wav"]
    ]


def test_what_file_managers_leave_is_no_track(tmp_path):
    write_gtzan(tmp_path)
    for name in ("._blues.00000.wav", ".DS_Store"):
        (tmp_path / "genres_original/blues" / name).write_bytes(b"\0")
    (tmp_path / "genres_original/blues/notes.txt").write_text("hello")
    corpus = load_gtzan(tmp_path)
    assert len(corpus.tracks) == 4
    assert corpus.left_out.to_numpy().tolist() == [["blues/notes.txt", "not .wav or .au"]]


def test_folders_without_genres_or_audio_are_one_line_each(tmp_path):
    with pytest.raises(CorpusError, match="holds no genres/ or genres_original/"):
        load_gtzan(tmp_path)
    (tmp_path / "genres" / "rock").mkdir(parents=True)
    with pytest.raises(CorpusError, match=r"holds no \.wav or \.au file"):
        load_gtzan(tmp_path)


@pytest.mark.realdata
def test_the_real_tracks_are_sixty_of_ten_genres(real_data):
    corpus = load_corpus(real_data / "gtzan-mini")
    assert (corpus.name, len(corpus.tracks), len(corpus.classes)) == ("gtzan", 60, 10)
    assert len(corpus.left_out) == 0
