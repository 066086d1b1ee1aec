"""The ten genres of GTZAN as styles, and a track in one of them.

Each recipe is a caricature that a listener names within a bar or two; tracks of a genre differ in
key, tempo, patterns, players and recording, and one track in three borrows from a neighbouring
genre, as music does. Not here: files (`fourier.corpora.demo`).
"""

import dataclasses
from collections.abc import Mapping
from types import MappingProxyType

import numpy as np

from fourier.corpora.synthesis.score import Band, Part, Style
from fourier.corpora.synthesis.sound import Tape, Timbre, Wave

PIANO = Timbre(tilt_db=-9, attack=0.003, decay=0.7, dulls_db=5)
GUITAR = Timbre(tilt_db=-7, attack=0.002, decay=0.45, dulls_db=7)
NYLON = Timbre(tilt_db=-11, attack=0.003, decay=0.35, dulls_db=7)
CRUNCH = Timbre(tilt_db=-6, attack=0.004, drive=4, spread_cents=6)
FUZZ = Timbre(tilt_db=-4, attack=0.003, drive=14, spread_cents=8)
BASS = Timbre(tilt_db=-10, attack=0.004, decay=0.5, dulls_db=8, spread_cents=0)
UPRIGHT = Timbre(tilt_db=-13, attack=0.008, decay=0.35, dulls_db=8, spread_cents=0)
SUB = Timbre(tilt_db=-20, attack=0.01, decay=0.9, spread_cents=0)
STRINGS = Timbre(tilt_db=-8, attack=0.12, vibrato_cents=14, spread_cents=9)
ORGAN = Timbre(tilt_db=-7, even=0.6, attack=0.008, vibrato_cents=7)
SAX = Timbre(tilt_db=-6, even=0.8, attack=0.03, vibrato_cents=18, spread_cents=0)
FLUTE = Timbre(tilt_db=-15, even=0.5, attack=0.05, vibrato_cents=16, spread_cents=0)
HARMONICA = Timbre(tilt_db=-5, even=0.4, attack=0.03, vibrato_cents=25, spread_cents=10)
FIDDLE = Timbre(tilt_db=-5, attack=0.03, vibrato_cents=20, spread_cents=0)
SYNTH = Timbre(tilt_db=-6, attack=0.01, spread_cents=14)
PLUCK = Timbre(tilt_db=-5, attack=0.003, decay=0.18, dulls_db=8, spread_cents=10)

BEAT = {
    "kick": ("x.......x.......", "x.....x.x.......", "x.......x.x....."),
    "snare": ("....x.......x...",),
}
EIGHTHS = ("x.o.x.o.x.o.x.o.", "x.x.x.x.x.x.x.x.")

BLUES = Style(
    bpm=(76, 118),
    progressions=("111144115411", "141144115415"),
    voicing="dominant",
    minor=0.0,
    swing=1 / 6,
    parts=(
        Part(BASS, 38, ("1...3...5...3...", "1.1.3.3.5.5.7.7."), 0.5, 3),
        Part(CRUNCH, 55, ("x.x.x.x.x.x.x.x.", "x...x.x.x...x.x."), 0.1, 1.5),
        Part(HARMONICA, 69, ("w.w.w...w.w.....", "..w.w.w.w......."), 0.22, 3, 0.25),
    ),
    drums={**BEAT, "hat": EIGHTHS},
    drum_gain=0.35,
)
CLASSICAL = Style(
    bpm=(66, 126),
    progressions=("1451", "16251451", "1536"),
    minor=0.4,
    room=0.4,
    parts=(
        Part(STRINGS, 52, ("x...............", "x.......x......."), 0.22, 15),
        Part(PIANO, 64, ("1.5.3.5.1.5.3.5.", "1.3.5.8.5.3.1.3.", "135835831358358."), 0.25, 3),
        Part(STRINGS, 74, ("w.......w...w...", "w...w...w......."), 0.2, 6, 0.1),
    ),
    drums={},
)
COUNTRY = Style(
    bpm=(92, 138),
    progressions=("1451", "1145", "11441155"),
    minor=0.05,
    parts=(
        Part(BASS, 40, ("1.......5.......",), 0.45, 5),
        Part(GUITAR, 60, ("....x.......x...", "....x.o.....x.o."), 0.3, 3, 0.0, 0.012),
        Part(FIDDLE, 72, ("w.w.w.w.w...w...", "w...w.w.w.w.w..."), 0.16, 2, 0.2),
        Part(PLUCK, 64, ("1.3.5.3.1.3.5.3.", "15358535153585.."), 0.2, 2),
    ),
    drums={"kick": ("x.......x.......",), "rim": ("....x.......x...",), "shaker": EIGHTHS},
    drum_gain=0.3,
)
DISCO = Style(
    bpm=(110, 128),
    progressions=("1645", "6415", "2511", "1144"),
    minor=0.6,
    voicing="seventh",
    parts=(
        Part(BASS, 40, ("1.8.1.8.1.8.1.8.", "1.8.1.8.5.8.1.8."), 0.5, 1.6),
        Part(STRINGS, 72, ("x...............", "x.......x......."), 0.14, 12),
        Part(PLUCK, 62, ("..x..x....x..x..", "x..x..x.x..x..x."), 0.22, 1),
    ),
    drums={
        "kick": ("x...x...x...x...",),
        "clap": ("....x.......x...",),
        "open": ("..x...x...x...x.",),
        "hat": ("x.o.x.o.x.o.x.o.", "xoxoxoxoxoxoxoxo"),
    },
    drum_gain=0.45,
)
HIPHOP = Style(
    bpm=(80, 102),
    progressions=("1111", "1166", "1161"),
    minor=0.9,
    voicing="seventh",
    shuffle=0.07,
    hiss_db=-48,
    room=0.05,
    parts=(
        Part(SUB, 33, ("1.....1...1.....", "1......1..5.....", "1.........1...1."), 0.8, 5),
        Part(PIANO, 60, ("x.......o.......", "x.....x.........", "..x.......x....."), 0.18, 4),
        Part(FLUTE, 74, ("w..w......w.....", "....w..w...w...."), 0.14, 2, 0.4),
    ),
    drums={
        "boom": ("x......x..x.....", "x.x.......x.....", "x.........xx...."),
        "snare": ("....X.......X...",),
        "hat": ("x.x.x.x.x.x.x.xx", "xox.xox.xox.xoxo"),
    },
    drum_gain=0.6,
    brightness=0.7,
)
JAZZ = Style(
    bpm=(104, 190),
    progressions=("2511", "1625", "36251625"),
    minor=0.3,
    voicing="seventh",
    swing=1 / 6,
    room=0.25,
    parts=(
        Part(UPRIGHT, 42, ("1...w...5...w...", "1...3...5...w..."), 0.55, 3.5),
        Part(PIANO, 60, ("..x.......x.....", "x.....x.........", "......x.......x."), 0.24, 2.5),
        Part(SAX, 70, ("w.w.w.w.w.w.w...", "..w.w.w.w...w.w.", "w...w.w.w.w....."), 0.18, 2, 0.25),
    ),
    drums={
        "ride": ("x...x.x.x...x.x.",),
        "hat": ("....x.......x...",),
        "rim": ("............o...",),
    },
    drum_gain=0.3,
)
METAL = Style(
    bpm=(130, 186),
    progressions=("1121", "1167", "1112", "1617"),
    minor=1.0,
    voicing="power",
    parts=(
        Part(FUZZ, 42, ("x.xxx.xxx.xxx.xx", "xxxxxxxxxxxxxxxx", "x..x..x.x..x..x."), 0.24, 1.3),
        Part(FUZZ, 48, ("x.......x.......", "x..............."), 0.12, 12),
        Part(BASS, 33, ("1.1.1.1.1.1.1.1.", "1111111111111111"), 0.35, 1.5),
    ),
    drums={
        "kick": ("xxxxxxxxxxxxxxxx", "x.xxx.xxx.xxx.xx", "xx.xxx.xxx.xxx.x"),
        "snare": ("....X.......X...", "..X...X...X...X."),
        "open": ("x...x...x...x...",),
    },
    drum_gain=0.45,
)
POP = Style(
    bpm=(96, 128),
    progressions=("1564", "6415", "1645"),
    minor=0.15,
    parts=(
        Part(BASS, 40, ("1.1.1.1.1.1.1.1.", "1.....1.1.....1."), 0.4, 2),
        Part(SYNTH, 62, ("x...............", "x.......x......."), 0.15, 14),
        Part(PLUCK, 72, ("1.5.8.5.3.5.8.5.", "8..5..3.8..5..3."), 0.18, 2),
        Part(SYNTH, 70, ("w.w...w.w...w...", "w...w.w.w......."), 0.15, 3, 0.15),
    ),
    drums={**BEAT, "hat": EIGHTHS, "clap": ("....x.......x...",)},
    drum_gain=0.45,
)
REGGAE = Style(
    bpm=(64, 92),
    progressions=("1414", "1145", "1256", "1515"),
    minor=0.4,
    swing=0.06,
    room=0.25,
    parts=(
        Part(BASS, 35, ("1...3.5...1.....", "..1.1.3.5.......", "1..1..5...3....."), 0.75, 3),
        Part(GUITAR, 64, ("..x...x...x...x.", "....x.......x..."), 0.3, 0.8),
        Part(ORGAN, 60, ("..xx..xx..xx..xx", "..x...x...x...x."), 0.13, 0.9),
    ),
    drums={
        "kick": ("........x.......", "x.......x......."),
        "rim": ("........x.......", "....x.......x..."),
        "hat": ("x.o.x.o.x.o.x.o.", "..x...x...x...x."),
    },
    drum_gain=0.4,
    brightness=0.8,
)
ROCK = Style(
    bpm=(104, 148),
    progressions=("1454", "1741", "1564", "1144"),
    minor=0.35,
    voicing="power",
    parts=(
        Part(CRUNCH, 50, ("x.x.x.x.x.x.x.x.", "x..x..x.x.x.x...", "x...x.x.x...x.x."), 0.22, 1.8),
        Part(BASS, 38, ("1.1.1.1.1.1.1.1.", "1...1.1.1...5..."), 0.4, 2),
        Part(CRUNCH, 66, ("w.w...w.w.w.....", "w.......w.w....."), 0.12, 3, 0.3),
    ),
    drums={**BEAT, "hat": EIGHTHS, "open": ("x...............", "................")},
    drum_gain=0.5,
)

STYLES: Mapping[str, Style] = MappingProxyType(
    {
        "blues": BLUES,
        "classical": CLASSICAL,
        "country": COUNTRY,
        "disco": DISCO,
        "hiphop": HIPHOP,
        "jazz": JAZZ,
        "metal": METAL,
        "pop": POP,
        "reggae": REGGAE,
        "rock": ROCK,
    }
)
NEIGHBOURS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "blues": ("rock", "jazz", "country"),
        "classical": ("jazz", "pop"),
        "country": ("rock", "pop", "blues"),
        "disco": ("pop", "hiphop"),
        "hiphop": ("disco", "reggae", "pop"),
        "jazz": ("blues", "classical"),
        "metal": ("rock",),
        "pop": ("disco", "rock", "country"),
        "reggae": ("hiphop", "pop"),
        "rock": ("metal", "blues", "country", "pop"),
    }
)


def genre_track(genre: str, rng: np.random.Generator, seconds: float, sample_rate: int) -> Wave:
    """A track in a genre.

    Args:
        genre: a key of `STYLES`.
        rng: decides everything else.
        seconds: length.
        sample_rate: Hz.

    Returns:
        float32 [samples] within [-1, 1].
    """
    style = _own_mixture(genre, rng)
    tape = Tape(seconds, sample_rate)
    Band(style, rng, tape).play()
    tape.echo(rng, style.room * float(rng.uniform(0.4, 1.4)))
    level = 10 ** (rng.normal(-18.5, 2.5) / 20)
    wave = tape.wave * np.float32(level / max(float(np.sqrt(np.mean(tape.wave**2))), 1e-6))
    hiss = 10 ** ((style.hiss_db + rng.normal(0, 4)) / 20)
    wave += np.float32(hiss) * rng.standard_normal(len(wave), dtype=np.float32)
    return np.asarray(np.tanh(wave), dtype=np.float32)


def _own_mixture(genre: str, rng: np.random.Generator) -> Style:
    """The genre's style, sometimes with a neighbour's drummer, player or tempo."""
    style = STYLES[genre]
    neighbour = STYLES[str(rng.choice(NEIGHBOURS[genre]))]
    borrowed = rng.choice(("nothing", "drums", "part", "feel"), p=(0.64, 0.12, 0.16, 0.08))
    if borrowed == "drums":
        return dataclasses.replace(style, drums=neighbour.drums, drum_gain=neighbour.drum_gain)
    if borrowed == "feel":
        feel = {"bpm": neighbour.bpm, "swing": neighbour.swing, "shuffle": neighbour.shuffle}
        return dataclasses.replace(style, **feel)  # type: ignore[arg-type]
    if borrowed == "part":
        parts = list(style.parts)
        parts[int(rng.integers(len(parts)))] = neighbour.parts[
            int(rng.integers(len(neighbour.parts)))
        ]
        return dataclasses.replace(style, parts=tuple(parts))
    return style
