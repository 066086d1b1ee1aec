"""Styles written as patterns, and the band that plays them.

A pattern is one bar, a character per sixteenth::

    x . o .   a drum or a whole chord: struck, silent, softly struck (X: accented)
    1 3 5 7 8 a chord's root, third, fifth, seventh, and the root an octave up
    w         a step of a random walk on the scale (walking basses, melodies)

Not here: the ten genres written in it (`genres`).
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from fourier.corpora.synthesis.drums import drum_kit
from fourier.corpora.synthesis.sound import Coloring, Instrument, Tape, Timbre

SCALES = {"major": (0, 2, 4, 5, 7, 9, 11), "minor": (0, 2, 3, 5, 7, 8, 10)}
LOUDNESS = {"o": 0.45, "x": 0.8, "X": 1.1}


@dataclass(frozen=True)
class Part:
    """One instrument of a band.

    Attributes:
        timbre: its sound.
        register: MIDI pitch around which it plays.
        patterns: bars to choose from, one for each track.
        gain: level in the mix.
        hold: sixteenths that a note lasts.
        rests: share of notes left out at random, 0 to 1.
        strum: seconds between the notes of a chord.
    """

    timbre: Timbre
    register: float
    patterns: tuple[str, ...]
    gain: float = 0.3
    hold: float = 2.0
    rests: float = 0.0
    strum: float = 0.0


@dataclass(frozen=True)
class Style:
    """What makes a genre: tempo, feel, harmony, rhythm and instruments.

    Attributes:
        bpm: slowest and fastest tempo, beats per minute.
        progressions: degrees of the scale, a digit for each bar.
        parts: the band without its drummer.
        drums: for each drum its bars to choose from.
        drum_gain: level of the kit.
        minor: share of tracks in a minor key.
        voicing: ``triad``, ``seventh``, ``dominant`` (a minor seventh on every major triad) or
            ``power`` (root, fifth, octave).
        swing: how late the off-beat eighths come, in beats; 1/6 is a triplet's.
        shuffle: how late the off-beat sixteenths come, in beats.
        brightness: of the drums, as a factor.
        room: level of the echo, 0 to 1.
        hiss_db: level of the noise floor, dB full scale.
    """

    bpm: tuple[float, float]
    progressions: tuple[str, ...]
    parts: tuple[Part, ...]
    drums: Mapping[str, tuple[str, ...]]
    drum_gain: float = 0.5
    minor: float = 0.3
    voicing: str = "triad"
    swing: float = 0.0
    shuffle: float = 0.0
    brightness: float = 1.0
    room: float = 0.15
    hiss_db: float = -62.0


def chord_intervals(degree: int, scale: tuple[int, ...], voicing: str) -> tuple[int, ...]:
    """Semitones of a chord's root, third, fifth and seventh above the key's first note.

    Args:
        degree: 1 to 7.
        scale: seven semitones.
        voicing: see `Style`.
    """
    root, third, fifth, seventh = (
        scale[(degree - 1 + step) % 7] + 12 * ((degree - 1 + step) // 7) for step in (0, 2, 4, 6)
    )
    if voicing == "dominant":
        return (root, root + 4, root + 7, root + 10)
    if voicing == "power":
        return (root, root + 7, root + 7, root + 12)
    return (root, third, fifth, seventh)


def nearest(pitch: float, register: float) -> float:
    """The same note in the octave around a register."""
    return register + (pitch - register + 6) % 12 - 6


@dataclass(frozen=True)
class Feel:
    """Where a track's sixteenths fall: seconds of a beat, and its swing."""

    beat: float
    swing: float
    shuffle: float

    def at(self, step: int) -> float:
        """Seconds from the first beat to a sixteenth."""
        late = self.swing * (step % 4 == 2) + self.shuffle * (step % 2)
        return (step / 4 + late) * self.beat


class Band:
    """Plays one part after the other onto a tape, in one key and tempo."""

    def __init__(self, style: Style, rng: np.random.Generator, tape: Tape) -> None:
        self._style = style
        self._rng = rng
        self._tape = tape
        self._coloring = Coloring.draw(rng, tilt_db=1.2, bump_db=5.0)
        self._feel = Feel(60 / rng.uniform(*style.bpm), style.swing, style.shuffle)
        self._key = int(rng.integers(12))
        self._scale = SCALES["minor" if rng.random() < style.minor else "major"]
        self._progression = [int(c) for c in str(rng.choice(style.progressions))]
        self._first = -float(rng.uniform(0, 4 * self._feel.beat))  # tracks start inside a bar

    def play(self) -> None:
        """All parts, then the drums."""
        for part in self._style.parts:
            self._play_part(part)
        self._play_drums()

    def _bars(self, pattern: str) -> int:
        left = len(self._tape.wave) / self._tape.sample_rate - self._first
        return int(left / self._feel.at(len(pattern))) + 1

    def _play_part(self, part: Part) -> None:
        rng = self._rng
        timbre = _vary(part.timbre, rng)
        instrument = Instrument(timbre, self._coloring, self._tape.sample_rate)
        pattern = str(rng.choice(part.patterns))
        gain = part.gain * 10 ** (rng.normal(0, 2.0) / 20)
        register = part.register + rng.integers(-3, 4)
        walk = int(rng.integers(-2, 3))
        for bar in range(self._bars(pattern)):
            degree = self._progression[bar % len(self._progression)]
            chord = chord_intervals(degree, self._scale, self._style.voicing)
            for step, sign in enumerate(pattern):
                if sign == "." or (part.rests and rng.random() < part.rests):
                    continue
                walk = _walk(walk, rng)
                pitches = self._pitches(sign, chord, register, walk)
                at = self._first + self._feel.at(bar * len(pattern) + step)
                seconds = part.hold * self._feel.beat / 4
                for index, group in enumerate([(p,) for p in pitches] if part.strum else [pitches]):
                    sound = instrument.play(group, seconds)
                    late = rng.normal(0, 0.004) + index * part.strum
                    level = gain * LOUDNESS.get(sign, 0.8) * rng.uniform(0.8, 1.1)
                    self._tape.add(sound, at + late, level)

    def _pitches(
        self, sign: str, chord: tuple[int, ...], register: float, walk: int
    ) -> tuple[float, ...]:
        if sign == "w":
            return (nearest(self._key, register) + 12 * (walk // 7) + self._scale[walk % 7],)
        size = 4 if self._style.voicing in ("seventh", "dominant") else 3
        if sign in LOUDNESS:
            if self._style.voicing == "power":
                root = nearest(self._key + chord[0], register)
                return (root, root + 7, root + 12)
            return tuple(sorted(nearest(self._key + c, register) for c in chord[:size]))
        root = nearest(self._key + chord[0], register)
        above = {"1": 0, "3": chord[1] - chord[0], "5": chord[2] - chord[0], "8": 12}
        return (root + above.get(sign, chord[3] - chord[0]),)

    def _play_drums(self) -> None:
        style, rng = self._style, self._rng
        kit = drum_kit(rng, self._coloring, self._tape.sample_rate, style.brightness)
        kit_gain = style.drum_gain * 10 ** (rng.normal(0, 2.0) / 20)
        for drum, patterns in style.drums.items():
            pattern = str(rng.choice(patterns))
            gain = kit_gain * 10 ** (rng.normal(0, 1.5) / 20)
            for bar in range(self._bars(pattern)):
                for step, sign in enumerate(pattern):
                    if sign == ".":
                        continue
                    at = self._first + self._feel.at(bar * len(pattern) + step)
                    level = gain * LOUDNESS[sign] * rng.uniform(0.85, 1.1)
                    self._tape.add(kit[drum], at + rng.normal(0, 0.003), level)


def _walk(place: int, rng: np.random.Generator) -> int:
    """The next step of a melody: mostly to a neighbour, never far from the middle."""
    return int(np.clip(place + rng.choice((-2, -1, -1, 1, 1, 2)), -7, 8))


def _vary(timbre: Timbre, rng: np.random.Generator) -> Timbre:
    """The same instrument in another player's hands."""
    return Timbre(
        tilt_db=timbre.tilt_db + float(rng.normal(0, 1.5)),
        even=float(np.clip(timbre.even + rng.normal(0, 0.1), 0, 1)),
        attack=timbre.attack * float(2 ** rng.normal(0, 0.3)),
        decay=timbre.decay * float(2 ** rng.normal(0, 0.3)),
        dulls_db=timbre.dulls_db,
        vibrato_cents=timbre.vibrato_cents * float(rng.uniform(0.6, 1.4)),
        spread_cents=timbre.spread_cents * float(rng.uniform(0.6, 1.4)),
        drive=timbre.drive * float(2 ** rng.normal(0, 0.25)),
    )
