import librosa
import numpy as np
import pytest
import soundfile

from fourier.corpora import load_corpus, load_gtzan
from fourier.corpora.gtzan import GENRES, MISSING_SAMPLES
from fourier.errors import CorpusError
from fourier.features.pcm import open_pcm


def write_gtzan(root, tracks=2, folder="genres_original", genres=("blues", "rock"), suffix=".wav"):
    for genre in genres:
        (root / folder / genre).mkdir(parents=True)
        for i in range(tracks):
            path = root / folder / genre / f"{genre}.{i:05d}{suffix}"
            soundfile.write(path, np.full(100, i / 100), 22_050, format=suffix[1:].upper())
    return root


@pytest.mark.parametrize(
    "folder",
    ["genres", "genres_original", "Data/genres_original", ".", "music/gtzan [2002]/genres"],
)
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


def test_a_segment_may_lack_what_leaves_it_the_notebooks_130_frames():
    def frames(samples):
        audio = np.zeros(samples, dtype=np.float32)
        return librosa.feature.mfcc(y=audio, sr=22_050, n_mfcc=13, hop_length=512).shape[1]

    assert frames(66_150 - MISSING_SAMPLES) == frames(66_150) == 130
    assert frames(66_150 - MISSING_SAMPLES - 1) == 129


def test_every_corpus_of_gtzan_says_what_a_segment_may_lack(tmp_path):
    assert load_gtzan(write_gtzan(tmp_path)).missing_samples == MISSING_SAMPLES


def test_what_a_link_leads_to_is_found_under_its_own_name_first(tmp_path):
    write_gtzan(tmp_path / "gtzan", folder="genres", genres=("ambient", "techno"))
    (tmp_path / "gtzan" / "alias").symlink_to(tmp_path / "gtzan" / "genres")
    assert load_gtzan(tmp_path).tracks["path"].iloc[0] == "gtzan/genres/ambient/ambient.00000.wav"


def test_a_track_in_both_formats_counts_once(tmp_path):
    write_gtzan(tmp_path, suffix=".wav")
    write_gtzan(tmp_path / "au", suffix=".au")
    (tmp_path / "au/genres_original/blues/blues.00001.au").rename(
        tmp_path / "genres_original/blues/blues.00001.au"
    )
    corpus = load_gtzan(tmp_path)
    assert corpus.tracks.loc["blues.00001", "path"].endswith(".wav")
    assert corpus.left_out.to_numpy().tolist() == [
        ["blues/blues.00001.au", "another file of the same track is used"]
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
    (tmp_path / "genres" / "rock" / "rock.00000.mp3").write_bytes(b"x")
    with pytest.raises(CorpusError, match=r"with \.wav or \.au files .*`fourier demo DIR`$"):
        load_gtzan(tmp_path)


def test_the_classes_are_gtzans_ten_in_alphabetical_order(tmp_path):
    corpus = load_gtzan(write_gtzan(tmp_path, tracks=1, genres=reversed(GENRES)))
    assert corpus.classes == GENRES == tuple(sorted(GENRES))
    labels = corpus.clips.drop_duplicates("track").set_index("track")["label"]
    assert [labels[f"{genre}.00000"] for genre in GENRES] == list(range(10))


def test_folders_of_other_names_are_classes_by_their_names(tmp_path):
    corpus = load_corpus(write_gtzan(tmp_path, folder="genres", genres=("techno", "ambient")))
    assert corpus.classes == ("ambient", "techno")


def test_a_single_folder_named_like_a_genre_is_no_corpus(tmp_path):
    with pytest.raises(CorpusError, match="holds neither DEAM"):
        load_corpus(write_gtzan(tmp_path, folder=".", genres=("rock",)))


def test_files_named_alike_in_two_genres_are_two_tracks(tmp_path):
    write_gtzan(tmp_path)
    for genre in ("blues", "rock"):
        folder = tmp_path / "genres_original" / genre
        (folder / f"{genre}.00001.wav").rename(folder / "1.wav")
    tracks = load_gtzan(tmp_path).tracks
    assert tracks.index.tolist() == ["blues.00000", "blues.1", "rock.00000", "rock.1"]


def test_what_is_beside_the_tracks_is_listed(tmp_path):
    folder = write_gtzan(tmp_path) / "genres_original"
    (folder / "covers").mkdir()
    (folder / "covers" / "a.png").write_bytes(b"x")
    (folder / "loose.wav").write_bytes(b"x")
    (folder / "rock" / "rock.00002.wav").symlink_to("/nowhere/rock.00002.wav")
    assert sorted(load_gtzan(tmp_path).left_out.to_numpy().tolist()) == [
        ["covers/", "no .wav or .au in it"],
        ["loose.wav", "in no genre's folder"],
        ["rock/rock.00002.wav", "not a file"],
    ]


def test_the_nearest_of_several_is_read_and_two_as_near_are_an_error(tmp_path):
    write_gtzan(tmp_path / "a")
    write_gtzan(tmp_path / "a/copies/older", genres=("jazz", "pop"))
    assert load_gtzan(tmp_path).classes == ("blues", "rock")
    write_gtzan(tmp_path / "b")
    with pytest.raises(CorpusError, match=r"holds GTZAN twice; name .*/a/.* or .*/b/"):
        load_gtzan(tmp_path)


def test_jazz_00054_is_listed_and_left_to_decoding(tmp_path, own_cache):
    folder = tmp_path / "genres"
    for genre in ("blues", "jazz"):
        (folder / genre).mkdir(parents=True)
        soundfile.write(folder / genre / f"{genre}.00000.wav", np.zeros(66_150), 22_050)
    (folder / "jazz" / "jazz.00054.wav").write_bytes(b"\0" * 1000)
    corpus = load_gtzan(tmp_path)
    assert (corpus.clips["track"] == "jazz.00054").sum() == 10
    store = open_pcm(corpus, own_cache, jobs=1)
    assert store.clips["track"].tolist() == ["blues.00000", "jazz.00000"]
    assert "jazz.00054" in store.left_out["item"].str.cat(sep=" ")


@pytest.mark.realdata
def test_the_real_tracks_are_sixty_of_ten_genres(real_data):
    corpus = load_corpus(real_data / "gtzan-mini")
    assert (corpus.name, len(corpus.tracks), len(corpus.classes)) == ("gtzan", 60, 10)
    assert (len(corpus.clips), corpus.classes) == (600, GENRES)
    assert corpus.clips["label"].value_counts().unique().tolist() == [60]
    assert len(corpus.left_out) == 0
