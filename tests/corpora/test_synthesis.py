import librosa
import numpy as np
import pytest

from fourier.corpora.gtzan import GENRES
from fourier.corpora.synthesis.drums import DRUMS, drum_kit
from fourier.corpora.synthesis.genres import NEIGHBOURS, STYLES, genre_track
from fourier.corpora.synthesis.moods import Mood, mood_song
from fourier.corpora.synthesis.score import (
    LOUDNESS,
    SCALES,
    Band,
    Feel,
    Part,
    Style,
    chord_intervals,
    nearest,
)
from fourier.corpora.synthesis.sound import Coloring, Instrument, Tape, Timbre

RATE = 22_050
PLAIN = Coloring(tilt_db=0.0, bumps=())


def tone(pitch=69, seconds=1.0, **timbre):
    return Instrument(Timbre(**timbre), PLAIN, RATE).play((pitch,), seconds)


def peak_hz(wave):
    return np.argmax(np.abs(np.fft.rfft(wave))) * RATE / len(wave)


def level_db(wave):
    return 10 * np.log10(np.mean(np.square(wave, dtype=np.float64)))


@pytest.mark.parametrize(("pitch", "hz"), [(69, 440.0), (57, 220.0), (60, 261.63), (96, 2093.0)])
def test_a_note_sounds_at_its_pitch(pitch, hz):
    assert peak_hz(tone(pitch, 2.0)) == pytest.approx(hz, rel=0.004)


def test_a_tilt_is_decibels_an_octave_of_harmonics():
    wave = tone(tilt_db=-12, spread_cents=0)
    spectrum = np.abs(np.fft.rfft(wave * np.hanning(len(wave))))
    levels = [20 * np.log10(spectrum[round(hz * len(wave) / RATE)]) for hz in (440, 880, 1760)]
    assert np.diff(levels) == pytest.approx([-12, -12], abs=1)


def test_no_harmonic_folds_over_half_the_sample_rate():
    wave = tone(pitch=100, tilt_db=0, spread_cents=0)  # 2637 Hz
    power = np.abs(np.fft.rfft(wave * np.hanning(len(wave)))) ** 2
    hz = np.fft.rfftfreq(len(wave), 1 / RATE)
    off = np.abs(hz / 2637.02 - np.round(hz / 2637.02)) * 2637 > 60
    assert 10 * np.log10(power[off].sum() / power.sum()) < -45


def test_two_copies_of_a_note_beat_at_their_difference():
    wave = tone(seconds=4.0, tilt_db=-60, spread_cents=40)  # 10.2 Hz at 440 Hz
    envelope = np.abs(wave)[RATE // 2 : 3 * RATE]
    spectrum = np.abs(np.fft.rfft(envelope - envelope.mean()))
    slow = spectrum[: int(50 * len(envelope) / RATE)]
    assert np.argmax(slow) * RATE / len(envelope) == pytest.approx(10.17, abs=0.5)


def test_driving_a_chord_adds_what_is_no_harmonic_of_its_notes():
    def share_between(drive):
        chord = Instrument(Timbre(tilt_db=-30, spread_cents=0, drive=drive), PLAIN, RATE)
        wave = chord.play((57.0, 64.0), 1.0)  # 220 and 330 Hz: their difference is 110 Hz
        power = np.abs(np.fft.rfft(wave * np.hanning(len(wave)))) ** 2
        hz = np.fft.rfftfreq(len(wave), 1 / RATE)
        return power[(hz > 525) & (hz < 575)].sum() / power.sum()  # 550 = 5 x 110 Hz

    assert share_between(14) > 100 * share_between(0)


def test_a_sound_is_laid_where_it_belongs_and_cut_at_both_ends():
    tape = Tape(seconds=0.01, sample_rate=1000)
    sound = np.array([1, 2, 3], dtype=np.float32)
    for at in (-0.001, 0.004, 0.009, 0.02, -1.0):
        tape.add(sound, at, gain=2.0)
    assert tape.wave.tolist() == [4, 6, 0, 0, 2, 4, 6, 0, 0, 2]


def test_drums_lie_in_their_registers():
    kit = drum_kit(np.random.default_rng(0), PLAIN, RATE)
    assert tuple(kit) == DRUMS
    centroids = {
        name: float(librosa.feature.spectral_centroid(y=wave, sr=RATE, n_fft=512).mean())
        for name, wave in kit.items()
    }
    assert centroids["boom"] < centroids["kick"] < centroids["snare"] < centroids["hat"]
    assert all(0.3 < np.abs(wave).max() < 2 for wave in kit.values())


@pytest.mark.parametrize(
    ("degree", "scale", "voicing", "chord"),
    [
        (1, "major", "triad", (0, 4, 7, 11)),
        (6, "major", "triad", (9, 12, 16, 19)),
        (1, "minor", "seventh", (0, 3, 7, 10)),
        (5, "major", "dominant", (7, 11, 14, 17)),
        (1, "minor", "power", (0, 7, 7, 12)),
        (4, "major", "power", (5, 12, 12, 17)),
    ],
)
def test_chords_are_spelled_as_in_a_textbook(degree, scale, voicing, chord):
    assert chord_intervals(degree, SCALES[scale], voicing) == chord


@pytest.mark.parametrize(
    ("pitch", "register", "found"),
    [(0, 60, 60), (11, 60, 59), (5, 60, 65), (7, 60, 55), (6, 60, 54)],
)
def test_notes_are_sought_in_the_octave_around_a_register(pitch, register, found):
    assert nearest(pitch, register) == found


def test_swing_puts_the_off_beat_on_the_third_triplet():
    feel = Feel(beat=0.6, swing=1 / 6, shuffle=0.0)
    assert [feel.at(step) for step in (0, 2, 4, 6)] == pytest.approx([0, 0.4, 0.6, 1.0])


def test_a_band_plays_its_pattern_in_time():
    style = Style(
        bpm=(120, 120),
        progressions=("1",),
        parts=(Part(Timbre(decay=0.05), 60, ("x...x...x...x...",), 1.0, 1),),
        drums={},
    )
    tape = Tape(8.0, RATE)
    Band(style, np.random.default_rng(0), tape).play()
    onsets = librosa.onset.onset_detect(y=tape.wave, sr=RATE, hop_length=128, units="time")
    assert np.median(np.diff(onsets)) == pytest.approx(0.5, abs=0.01)


def test_every_style_is_written_in_the_notation():
    assert tuple(STYLES) == GENRES == tuple(NEIGHBOURS)
    for genre, style in STYLES.items():
        assert set(style.drums) <= set(DRUMS), genre
        assert {n for n in NEIGHBOURS[genre] if n in STYLES and n != genre} == set(
            NEIGHBOURS[genre]
        )
        assert all(set(p) <= set("1234567") for p in style.progressions), genre
        for patterns in style.drums.values():
            assert all(len(p) == 16 and set(p) <= {".", *LOUDNESS} for p in patterns), genre
        for part in style.parts:
            for pattern in part.patterns:
                assert len(pattern) == 16, (genre, pattern)
                assert set(pattern) <= {".", "w", *"13578", *LOUDNESS}, (genre, pattern)


@pytest.mark.parametrize("genre", GENRES)
def test_a_track_is_whole_and_within_bounds(genre):
    wave = genre_track(genre, np.random.default_rng(3), 6.0, RATE)
    assert (wave.dtype, len(wave)) == (np.float32, 6 * RATE)
    assert np.abs(wave).max() < 1
    assert all(level_db(part) > -45 for part in np.split(wave, 2))


def test_genres_can_be_told_apart_but_not_perfectly():
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    rows, labels, tracks = [], [], []
    for label, genre in enumerate(GENRES):
        for track in range(6):
            wave = genre_track(genre, np.random.default_rng([1, label, track]), 6.0, RATE)
            mel = librosa.feature.melspectrogram(y=wave, sr=RATE, n_mels=32, hop_length=1024)
            for part in np.array_split(librosa.power_to_db(mel, ref=np.max), 2, axis=1):
                rows.append([*part.mean(axis=1), *part.std(axis=1)])
                labels.append(label)
                tracks.append(track)
    x, y, learned = np.array(rows), np.array(labels), np.array(tracks) < 4
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=300))
    accuracy = model.fit(x[learned], y[learned]).score(x[~learned], y[~learned])
    assert 0.35 < accuracy < 0.95  # chance is 0.1


def steady(arousal, valence, seconds=12):
    points = np.full(2 * seconds + 1, 1.0)
    return Mood(arousal * points, valence * points)


def heard(arousal, valence, measure, songs=6):
    """A measure of songs in one mood, averaged."""
    waves = [
        mood_song(steady(arousal, valence), np.random.default_rng(i), 12, RATE)
        for i in range(songs)
    ]
    return np.mean([measure(wave) for wave in waves])


def brightness(wave):
    """Level of what sounds above 2 kHz between the drums, dB."""
    power = np.median(np.abs(librosa.stft(wave)) ** 2, axis=1)
    return 10 * np.log10(power[np.fft.rfftfreq(2048, 1 / RATE) > 2000].sum() / power.sum())


def onsets(wave):
    return len(librosa.onset.onset_detect(y=wave, sr=RATE))


def majorness(wave):
    """How much better the best major key fits than the best minor one (Krumhansl 1990)."""
    major = [6.35, 2.23, 3.48, 2.33, 4.38, 4.09, 2.52, 5.19, 2.39, 3.66, 2.29, 2.88]
    minor = [6.33, 2.68, 3.52, 5.38, 2.60, 3.53, 2.54, 4.75, 3.98, 2.69, 3.34, 3.17]
    chroma = librosa.feature.chroma_cqt(y=wave, sr=RATE).mean(axis=1)
    fits = [
        max(np.corrcoef(np.roll(key, k), chroma)[0, 1] for k in range(12)) for key in (major, minor)
    ]
    return fits[0] - fits[1]


def roughness(wave):
    """Share of the loudness that flutters at 4 to 30 Hz between strokes."""
    mel = np.sqrt(librosa.feature.melspectrogram(y=wave, sr=RATE, hop_length=256, n_mels=32))
    spectrum = np.abs(np.fft.rfft(mel - mel.mean(axis=1, keepdims=True)))
    hz = np.fft.rfftfreq(mel.shape[1], 256 / RATE)
    return spectrum[:, (hz > 4) & (hz < 30)].sum() / spectrum.sum()


@pytest.mark.parametrize(
    ("measure", "least"),
    [(level_db, 8.0), (brightness, 15.0), (onsets, 8.0)],
    ids=["loudness", "brightness", "density"],
)
def test_arousal_is_audible(measure, least):
    assert heard(0.8, 0.0, measure) - heard(-0.8, 0.0, measure) > least


@pytest.mark.parametrize(
    ("measure", "sign", "least"),
    [(majorness, 1, 0.08), (roughness, -1, 0.05)],
    ids=["mode", "consonance"],
)
def test_valence_is_audible(measure, sign, least):
    gain = heard(-0.2, 0.85, measure) - heard(-0.2, -0.85, measure)
    assert sign * gain > least


def test_loudness_follows_a_song_through_its_moods():
    arousal = np.repeat([-0.6, 0.6], 17)[:33]
    wave = mood_song(Mood(arousal, 0 * arousal), np.random.default_rng(0), 16, RATE)
    early, late = wave[: 6 * RATE], wave[10 * RATE :]
    assert level_db(late) - level_db(early) == pytest.approx(12, abs=2)


def test_moods_drift_and_listeners_agree_but_not_quite():
    rng = np.random.default_rng(0)
    moods = [Mood.draw(rng, 45) for _ in range(200)]
    arousal = np.array([mood.arousal for mood in moods])
    valence = np.array([mood.valence for mood in moods])
    assert arousal.shape == (200, 91)
    assert np.abs([arousal, valence]).max() <= 0.95
    assert 0.3 < arousal.std() < 0.6
    assert 0.08 < arousal.std(axis=1).mean() < 0.25  # within songs
    assert 0.05 < np.corrcoef(arousal.mean(axis=1), valence.mean(axis=1))[0, 1] < 0.6
    reported = np.array([mood.rated(rng).arousal for mood in moods])
    assert 0.03 < np.abs(reported - arousal).mean() < 0.12
    assert np.abs(reported).max() <= 1
