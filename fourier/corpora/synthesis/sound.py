"""Tones from wave tables, and the tape they are laid on.

A note is one period of a waveform read at the note's pitch, shaped by an envelope; equal notes are
made once. Not here: which notes, and when (`score`, `moods`).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Wave = NDArray[np.float32]

TABLE_SAMPLES = 4096
MOST_HARMONICS = 64
EDGE_SECONDS = 0.004
"""Shortest rise and fall of a note, so that none of them clicks."""


@dataclass(frozen=True)
class Timbre:
    """How an instrument sounds.

    Attributes:
        tilt_db: level of each octave of harmonics against the one below, decibels.
        even: weight of the even harmonics, 0 (hollow, as a clarinet) to 1 (as a string).
        attack: seconds until a note is fully there.
        decay: seconds in which a held note falls to 37 %; 0 for a note that sustains.
        dulls_db: what the tilt loses while the note decays, decibels per octave; plucked and
            struck notes dull, blown ones do not.
        vibrato_cents: depth of a 5.5-Hz vibrato.
        spread_cents: pitch between two copies of the note; a few make it warm, dozens sour.
        drive: how hard the sum of a chord is pushed into saturation; 0 for clean.
    """

    tilt_db: float = -9.0
    even: float = 1.0
    attack: float = 0.005
    decay: float = 0.0
    dulls_db: float = 0.0
    vibrato_cents: float = 0.0
    spread_cents: float = 4.0
    drive: float = 0.0


@dataclass(frozen=True)
class Coloring:
    """A recording's own equaliser: a tilt and three broad bumps, the same for all its sounds.

    It stands for microphones, room and mastering, which a listener hears past and a mean spectrum
    does not.

    Attributes:
        tilt_db: decibels per octave around 1 kHz.
        bumps: centre (octaves from 1 kHz), width (octaves) and height (decibels) of each.
    """

    tilt_db: float
    bumps: tuple[tuple[float, float, float], ...]

    @classmethod
    def draw(cls, rng: np.random.Generator, tilt_db: float, bump_db: float) -> "Coloring":
        """A random one; the two arguments are standard deviations."""
        bumps = tuple(
            (rng.uniform(-3.0, 3.0), rng.uniform(0.3, 1.2), rng.normal(0.0, bump_db))
            for _ in range(3)
        )
        return cls(tilt_db=float(rng.normal(0.0, tilt_db)), bumps=bumps)

    def gain(self, hz: NDArray[np.floating]) -> NDArray[np.float64]:
        """Linear gain at each frequency."""
        octaves = np.log2(np.maximum(hz, 20.0) / 1000.0)
        level = self.tilt_db * octaves
        for centre, width, height in self.bumps:
            level = level + height * np.exp(-0.5 * ((octaves - centre) / width) ** 2)
        return np.asarray(10.0 ** (np.clip(level, -30.0, 18.0) / 20.0))


class Instrument:
    """Plays notes and chords of one timbre in one recording."""

    def __init__(self, timbre: Timbre, coloring: Coloring, sample_rate: int) -> None:
        self.timbre = timbre
        self._coloring = coloring
        self._rate = sample_rate
        self._tables: dict[tuple[float, float], Wave] = {}
        self._chords: dict[tuple[tuple[float, ...], int], Wave] = {}

    def play(self, pitches: tuple[float, ...], seconds: float) -> Wave:
        """A chord of MIDI pitches (69 is 440 Hz), about as loud whatever its size.

        Returns:
            float32 [samples], a little longer than ``seconds`` for the release.
        """
        seconds = max(round(seconds, 2), 0.03)
        key = (pitches, round(seconds * 100))
        if key not in self._chords:
            notes = [self._note(pitch, seconds) for pitch in pitches]
            wave: Wave = np.sum(notes, axis=0, dtype=np.float32)
            wave /= np.float32(len(notes) ** 0.7)
            if self.timbre.drive > 0:
                wave = np.tanh(wave * np.float32(self.timbre.drive))
                wave = (wave + np.roll(wave, 1) + np.roll(wave, 2)) / np.float32(3)  # the cabinet
            self._chords[key] = wave * self._envelope(len(wave))
        return self._chords[key]

    def _note(self, pitch: float, seconds: float) -> Wave:
        timbre = self.timbre
        count = int((seconds + 0.05) * self._rate)
        time = np.arange(count, dtype=np.float32) / np.float32(self._rate)
        copies = (-0.5, 0.5) if timbre.spread_cents else (0.0,)
        wave = np.zeros(count, dtype=np.float32)
        for copy in copies:
            hz = 440.0 * 2 ** ((pitch - 69 + copy * timbre.spread_cents / 100) / 12)
            turns = time * np.float32(hz) + np.float32(0.31 * (copy + 0.5))
            if timbre.vibrato_cents:
                depth = hz * (2 ** (timbre.vibrato_cents / 1200) - 1) / (2 * np.pi * 5.5)
                turns += np.float32(depth) * np.sin(np.float32(2 * np.pi * 5.5) * time)
            place = (turns * np.float32(TABLE_SAMPLES)).astype(np.int32) & (TABLE_SAMPLES - 1)
            bright = self._table(pitch, timbre.tilt_db)[place]
            if timbre.dulls_db and timbre.decay:
                dull = self._table(pitch, timbre.tilt_db - timbre.dulls_db)[place]
                left = np.exp(-time / np.float32(timbre.decay / 3))
                bright = dull + (bright - dull) * left
            wave += bright
        return wave / np.float32(len(copies))

    def _table(self, pitch: float, tilt_db: float) -> Wave:
        """One period, without what would fold over half the sample rate."""
        key = (pitch, tilt_db)
        if key not in self._tables:
            hz = 440.0 * 2 ** ((pitch - 69) / 12)
            count = int(np.clip(0.47 * self._rate / hz, 1, MOST_HARMONICS))
            number = np.arange(1, count + 1, dtype=np.float64)
            level = 10 ** (tilt_db * np.log2(number) / 20) * self._coloring.gain(number * hz)
            level = np.where(number % 2 == 0, level * self.timbre.even, level)
            phase = np.pi * number**2 / count  # Schroeder (1970): the lowest crest
            spectrum = np.zeros(TABLE_SAMPLES // 2 + 1, dtype=np.complex128)
            spectrum[1 : count + 1] = level * np.exp(1j * phase)
            table = np.fft.irfft(spectrum) * (TABLE_SAMPLES / 2)
            self._tables[key] = (0.3 * table).astype(np.float32)
        return self._tables[key]

    def _envelope(self, count: int) -> Wave:
        time = np.arange(count, dtype=np.float32) / np.float32(self._rate)
        rise = np.minimum(time / np.float32(max(self.timbre.attack, EDGE_SECONDS)), 1)
        fall = np.clip((np.float32(count / self._rate) - time) / np.float32(0.05), 0, 1)
        if self.timbre.decay:
            fall = fall * np.exp(-time / np.float32(self.timbre.decay))
        return np.asarray(rise * fall, dtype=np.float32)


class Tape:
    """A recording in the making, onto which sounds are added."""

    def __init__(self, seconds: float, sample_rate: int) -> None:
        self.sample_rate = sample_rate
        self.wave: Wave = np.zeros(int(seconds * sample_rate), dtype=np.float32)

    def add(self, sound: Wave, at_seconds: float, gain: float = 1.0) -> None:
        """Lay a sound down from a moment on; what falls off either end is cut."""
        start = int(at_seconds * self.sample_rate)
        if start < 0:
            sound, start = sound[-start:], 0
        part = self.wave[start : start + len(sound)]
        part += np.float32(gain) * sound[: len(part)]

    def echo(self, rng: np.random.Generator, amount: float) -> None:
        """A room of eight reflections within 0.15 s.

        Args:
            rng: places them.
            amount: level of the first against the direct sound, 0 to 1.
        """
        dry = self.wave.copy()
        for place in np.sort(rng.uniform(0.01, 0.15, 8)):
            delay = int(place * self.sample_rate)
            self.wave[delay:] += np.float32(amount * np.exp(-place / 0.07)) * dry[:-delay]
