"""What a user would write instead, as the tools' own manuals have it: the other side of a race.

Nothing of the project is used in here, so that no gain of its own leaks into what it is compared
with. What librosa and torch need is imported where it is used: processes that only decode start
without them.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

RATE = 44_100
FIRST_SECOND, CLIP_SECONDS, CLIPS = 15, 5, 6
HOP = 512

Setting = dict[str, Any]
"""``n_fft``, ``n_mels``, ``fmax``: the arguments as librosa names them."""


def song_to_files(song: Path, folder: Path, setting: Setting) -> int:
    """A whole song by librosa, then a spectrogram and a .npy for each clip (the first project)."""
    import librosa

    audio, rate = librosa.load(song, sr=RATE, mono=True)
    saved = 0
    for clip in range(CLIPS):
        start = int((FIRST_SECOND + CLIP_SECONDS * clip) * rate)
        end = int((FIRST_SECOND + CLIP_SECONDS * (clip + 1)) * rate)
        save_decibels(audio[start:end], folder / f"song_{song.stem}_seg_{clip}.npy", setting)
        saved += 1
    return saved


def load_song(song: Path) -> int:
    """What the first project decodes of a song: all of it."""
    import librosa

    return len(librosa.load(song, sr=RATE, mono=True)[0])


def clips_to_files(pcm: Path, rows: range, samples: int, folder: Path, setting: Setting) -> int:
    """The same from decoded 16-bit clips in one file."""
    audio = np.memmap(pcm, np.int16, "r").reshape(-1, samples)
    for row in rows:
        save_decibels(audio[row].astype(np.float32) / 32768, folder / f"{row}.npy", setting)
    return len(rows)


def save_decibels(audio: npt.NDArray[np.float32], path: Path, setting: Setting) -> None:
    """Decibels against the clip's peak, as librosa computes them."""
    import librosa

    mel = librosa.feature.melspectrogram(y=audio, sr=RATE, hop_length=HOP, **setting)
    np.save(path, librosa.power_to_db(mel, ref=np.max))


def nnaudio_mel(setting: Setting) -> "nn.Module":
    """NnAudio's module; an ImportError where it is not installed."""
    from nnAudio.features.mel import MelSpectrogram

    return MelSpectrogram(
        sr=RATE, hop_length=HOP, pad_mode="constant", verbose=False, fmin=0.0, **setting
    )


def torchaudio_mel(setting: Setting) -> "nn.Module":
    """Torchaudio's module; an ImportError where it is not installed, or not for this torch."""
    from torchaudio.transforms import MelSpectrogram

    names = {"n_fft": "n_fft", "n_mels": "n_mels", "fmax": "f_max"}
    renamed = {names[name]: value for name, value in setting.items()}
    return MelSpectrogram(RATE, hop_length=HOP, pad_mode="constant", norm="slaney", **renamed)


def module_decibels(
    mel: "nn.Module", pcm: npt.NDArray[np.int16], batch: int = CLIPS
) -> "list[Tensor]":
    """Clips through a module that gives mel power, a batch at a time, to half precision."""
    import torch

    found = []
    with torch.inference_mode():
        for start in range(0, len(pcm), batch):
            audio = torch.from_numpy(pcm[start : start + batch].astype(np.float32) / 32768)
            decibels = 10 * torch.log10(mel(audio).clamp_min(1e-10))
            ceiling = decibels.amax(dim=(1, 2), keepdim=True)
            found.append((decibels - ceiling).clamp_min(-80).half())
    return found


class NpyClips:
    """The first project's ``Dataset``: a table of labels, and one .npy for each of its rows."""

    def __init__(self, folder: Path, targets: "Tensor") -> None:
        import pandas as pd

        self.folder, self.classes = folder, targets.ndim == 1
        self.data = pd.DataFrame(targets.numpy().reshape(len(targets), -1))

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int) -> "tuple[Tensor, Tensor]":
        """One clip's features and target."""
        import torch

        row = self.data.iloc[index]
        features = torch.FloatTensor(np.load(self.folder / f"{index}.npy"))
        return features, torch.tensor(row[0] if self.classes else row.to_numpy())


def npy_batches(
    folder: Path, targets: "Tensor", batch: int, workers: int, *, pinned: bool
) -> "torch.utils.data.DataLoader[Any]":
    """A shuffled DataLoader over `NpyClips`, whose workers stay for all epochs."""
    from torch.utils.data import DataLoader

    return DataLoader(
        NpyClips(folder, targets),  # type: ignore[arg-type]
        batch_size=batch,
        shuffle=True,
        num_workers=workers,
        persistent_workers=workers > 0,
        pin_memory=pinned,
    )


def write_npys(folder: Path, features: Sequence[npt.NDArray[np.float32]]) -> Iterator[Path]:
    """One .npy for each clip."""
    for index, clip in enumerate(features):
        path = folder / f"{index}.npy"
        np.save(path, clip)
        yield path
