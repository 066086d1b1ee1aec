"""Songs whose arousal and valence drift, and what listeners say of them.

Arousal is carried by tempo, density, register, loudness and brightness; valence by mode and
consonance (Gabrielsson & Lindström 2010). Every song bends each of these by a habit of its own, so
that no single cue decides. Not here: files (`fourier.corpora.demo`).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fourier.corpora.synthesis.drums import drum_kit
from fourier.corpora.synthesis.score import SCALES, chord_intervals, nearest
from fourier.corpora.synthesis.sound import Coloring, Instrument, Tape, Timbre, Wave

Curve = NDArray[np.float64]

RATING_HZ = 2
PROGRESSIONS = ("1451", "1645", "1564", "1416")
SOUNDS = (
    Timbre(attack=0.003, decay=0.6, dulls_db=5),
    Timbre(even=0.3, attack=0.02, vibrato_cents=8),
    Timbre(attack=0.004, decay=0.25, dulls_db=8),
    Timbre(even=0.8, attack=0.05, vibrato_cents=14),
)


@dataclass(frozen=True)
class Mood:
    """Where a song is on its way through the plane of emotion.

    Attributes:
        arousal: [points] at `RATING_HZ`, from second 0 on, within [-1, 1].
        valence: likewise.
    """

    arousal: Curve
    valence: Curve

    @classmethod
    def draw(cls, rng: np.random.Generator, seconds: float) -> "Mood":
        """A random path; arousal and valence of a song are mildly correlated, as in DEAM."""
        time = np.arange(int(seconds * RATING_HZ) + 1) / RATING_HZ
        arousal = rng.uniform(-0.75, 0.75)
        valence = 0.35 * arousal + rng.uniform(-0.7, 0.7)
        return cls(_path(rng, arousal, time), _path(rng, valence, time))

    def at(self, second: float) -> tuple[float, float]:
        """Arousal and valence at a moment."""
        place = min(max(int(second * RATING_HZ), 0), len(self.arousal) - 1)
        return float(self.arousal[place]), float(self.valence[place])

    def rated(self, rng: np.random.Generator) -> "Mood":
        """The same path as a panel of listeners reports it: biased a little, and not smoothly."""
        return Mood(_report(rng, self.arousal), _report(rng, self.valence))


@dataclass(frozen=True)
class Habits:
    """By how much a song departs from what its mood asks for, in units of arousal or valence."""

    tempo: float
    density: float
    register: float
    loudness: float
    brightness: float
    drums: float
    mode: float
    consonance: float

    @classmethod
    def draw(cls, rng: np.random.Generator) -> "Habits":
        """Independent departures; a song is most faithful in loudness, density and consonance."""
        spread = (0.45, 0.35, 0.45, 0.36, 0.45, 0.4, 0.3, 0.22)
        return cls(*(float(rng.normal(0, s)) for s in spread))


def mood_song(mood: Mood, rng: np.random.Generator, seconds: float, sample_rate: int) -> Wave:
    """Music that follows a mood.

    Args:
        mood: the path.
        rng: decides key, instruments, habits and every note.
        seconds: length.
        sample_rate: Hz.

    Returns:
        float32 [samples] within [-1, 1].
    """
    habits = Habits.draw(rng)
    tape = Tape(seconds, sample_rate)
    _Song(mood, habits, rng, tape).play()
    tape.echo(rng, float(rng.uniform(0.05, 0.3)))
    wave = _levelled(tape.wave, sample_rate, mood, habits.loudness)
    wave += np.float32(10 ** (rng.normal(-64, 3) / 20)) * rng.standard_normal(
        len(wave), dtype=np.float32
    )
    return np.asarray(np.tanh(wave), dtype=np.float32)


class _Song:
    """Bar after bar, each played as the mood at its first beat asks."""

    def __init__(self, mood: Mood, habits: Habits, rng: np.random.Generator, tape: Tape) -> None:
        self._mood = mood
        self._habits = habits
        self._rng = rng
        self._tape = tape
        self._coloring = Coloring.draw(rng, tilt_db=1.5, bump_db=4.0)
        self._sounds = [SOUNDS[i] for i in rng.permutation(len(SOUNDS))[:2]]
        self._instruments: dict[Timbre, Instrument] = {}
        self._kit = drum_kit(rng, self._coloring, tape.sample_rate)
        self._key = int(rng.integers(12))
        self._progression = [int(c) for c in str(rng.choice(PROGRESSIONS))]

    def play(self) -> None:
        at, bar = 0.0, 0
        while at < len(self._tape.wave) / self._tape.sample_rate:
            arousal, valence = self._mood.at(at)
            beat = 60 / (92 * 2 ** (0.7 * (arousal + self._habits.tempo)))
            self._chords(at, beat, bar, arousal, valence)
            self._melody(at, beat, arousal, valence)
            self._drums(at, beat, arousal)
            at, bar = at + 4 * beat, bar + 1

    def _instrument(self, which: int, arousal: float, valence: float) -> Instrument:
        """Brighter with arousal, out of tune without valence; rounded, so that notes are shared."""
        base = self._sounds[which]
        tilt = -9.0 + 5.0 * (arousal + self._habits.brightness)
        sour = np.clip(0.25 - valence - self._habits.consonance, 0, 1.2)
        timbre = Timbre(
            tilt_db=2.0 * round(tilt / 2),
            even=base.even,
            attack=base.attack,
            decay=base.decay,
            dulls_db=base.dulls_db,
            vibrato_cents=base.vibrato_cents,
            spread_cents=4.0 + 8.0 * round(5 * float(sour)),
        )
        if timbre not in self._instruments:
            self._instruments[timbre] = Instrument(timbre, self._coloring, self._tape.sample_rate)
        return self._instruments[timbre]

    def _scale(self, valence: float) -> tuple[int, ...]:
        bright = 1 / (1 + np.exp(-6 * (valence + self._habits.mode)))
        return SCALES["major" if self._rng.random() < bright else "minor"]

    def _register(self, arousal: float) -> float:
        return round(60 + 8 * (arousal + self._habits.register))

    def _chords(self, at: float, beat: float, bar: int, arousal: float, valence: float) -> None:
        degree = self._progression[bar % len(self._progression)]
        intervals = chord_intervals(degree, self._scale(valence), "triad")[:3]
        register = self._register(arousal) - 5
        notes = [nearest(self._key + interval, register) for interval in intervals]
        notes.append(nearest(self._key + intervals[0], register - 14))
        clash = np.clip(0.1 - valence - self._habits.consonance, 0, 0.9)
        if self._rng.random() < clash:
            notes.append(notes[int(self._rng.integers(3))] + 1)
        if self._rng.random() < clash:
            notes.append(notes[0] + 6)
        hits = self._hits(arousal, most=4)
        sound = self._instrument(0, arousal, valence).play(tuple(sorted(notes)), 4 * beat / hits)
        for hit in range(hits):
            self._tape.add(sound, at + hit * 4 * beat / hits, 0.5)

    def _melody(self, at: float, beat: float, arousal: float, valence: float) -> None:
        instrument = self._instrument(1, arousal, valence)
        scale = self._scale(valence)
        register = self._register(arousal) + 9
        count = self._hits(arousal, most=16)
        place = int(self._rng.integers(7))
        for index in range(count):
            place = (place + int(self._rng.choice((-2, -1, 1, 2)))) % 7
            if self._rng.random() < 0.15:
                continue
            pitch = nearest(self._key + scale[place], register)
            sound = instrument.play((pitch,), 4 * beat / count)
            self._tape.add(sound, at + index * 4 * beat / count, 0.4)

    def _hits(self, arousal: float, most: int) -> int:
        """Strokes a bar: a power of two that grows with arousal."""
        wanted = (arousal + self._habits.density + 1) / 2 * np.log2(most)
        return int(2 ** np.clip(round(wanted + self._rng.normal(0, 0.25)), 0, np.log2(most)))

    def _drums(self, at: float, beat: float, arousal: float) -> None:
        strength = float(np.clip(arousal + self._habits.drums + 0.2, 0, 1))
        if strength == 0:
            return
        for eighth in range(8):
            place = at + eighth * beat / 2
            self._tape.add(self._kit["hat"], place, 0.25 * strength)
            if eighth % 4 == 0:
                self._tape.add(self._kit["kick"], place, 0.7 * strength)
            elif eighth % 4 == 2:
                self._tape.add(self._kit["snare"], place, 0.45 * strength)


def _levelled(wave: Wave, sample_rate: int, mood: Mood, habit: float) -> Wave:
    """The mix with the loudness that the mood asks for, whatever was played.

    From about -32 dB full scale (RMS) at an arousal of -1 to -12 dB at 1.
    """
    hop = sample_rate // RATING_HZ
    count = -(-len(wave) // hop)
    blocks = np.zeros((count, hop), dtype=np.float32)
    blocks.reshape(-1)[: len(wave)] = wave
    power = np.mean(blocks**2, axis=1)
    around = np.convolve(np.pad(power, 3, mode="edge"), np.ones(6) / 6, mode="valid")  # at edges
    wanted = 10 ** ((-22 + 10 * (mood.arousal[: count + 1] + habit)) / 20)
    gain = (wanted / np.sqrt(np.maximum(around, 1e-8))).astype(np.float32)
    ramp = np.arange(hop, dtype=np.float32) / np.float32(hop)
    blocks *= gain[:-1, None] + (gain[1:] - gain[:-1])[:, None] * ramp
    return blocks.reshape(-1)[: len(wave)]


def _path(rng: np.random.Generator, start: float, time: Curve) -> Curve:
    """A slow wave and a trend around a song's own level."""
    turns = rng.uniform(0.5, 1.3) * time / time[-1] + rng.uniform()
    trend = rng.normal(0, 0.15) * (2 * time / time[-1] - 1)
    wave = rng.uniform(0.08, 0.3) * np.sin(2 * np.pi * turns)
    return np.asarray(np.clip(start + trend + wave, -0.95, 0.95))


def _report(rng: np.random.Generator, curve: Curve) -> Curve:
    wander = np.cumsum(rng.normal(0, 0.02, len(curve)))
    wander -= np.linspace(0, wander[-1], len(curve))  # comes home: listeners do not drift away
    noise = rng.normal(0, 0.06) + wander + rng.normal(0, 0.01, len(curve))
    return np.asarray(np.clip(curve + noise, -1, 1))
