"""From a trained trial to one program: waveform in, prediction out, and nothing else needed.

The program holds the 16-bit steps of the stored audio, the spectrogram, the half precision of the
stored features, the normalisation, the network and the meaning of its outputs, so that it answers
as the training path does. Not here: reading a program back (`fourier.release.program`), using it
on files (`fourier.release.predict`) and MLflow's packaging (`fourier.release.packaging`).
"""

import io
import json
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

import fourier
from fourier.config import TrialConfig
from fourier.errors import ReleaseError
from fourier.features.cache import written_whole
from fourier.features.normalization import Normalization
from fourier.features.spectrogram import Spectrogram
from fourier.models import build_model
from fourier.release.program import (
    FORMAT,
    METADATA_FILE,
    REQUIRED,
    Precision,
    Program,
    load_program,
)
from fourier.release.reference import librosa_features
from fourier.training import Experiment, predict

__all__ = [
    "ClipModel",
    "Program",
    "build_clip_model",
    "check_export",
    "describe_program",
    "export_program",
    "load_program",
    "precision_of",
]

FULL_SCALE = 32768
TOLERANCE = 1e-4
"""How far a program may be from the training path, in probability or on the scale [-1, 1]."""
LIBROSA_TOLERANCE = 1e-3
"""Wider: where librosa differs by 3e-5 dB, half precision may round the other way."""
LIBROSA_CLIPS = 4


class ClipModel(nn.Module):
    """Clips of audio to what a person wants to know of them.

    Numbers are clamped to [-1, 1], the scale of the annotations, which brings no prediction
    further from any annotation; classes come as probabilities.

    Attributes:
        spectrogram: from waveform to decibels or MFCCs, inside in the type that the stored
            features were computed in: it keeps a program to the training path's very bits.
        network: normalisation and network, from features to raw outputs.
        classification: whether the outputs are logits of classes.
    """

    def __init__(self, spectrogram: Spectrogram, network: nn.Module, classification: bool) -> None:
        super().__init__()
        self.spectrogram = spectrogram
        self.network = network
        self.classification = classification

    def forward(self, waveform: Tensor) -> Tensor:
        """Predict.

        Args:
            waveform: [batch, samples] float32 within [-1, 1], at the corpus's rate and length.

        Returns:
            [batch, outputs] float32.
        """
        return self.answer(self.spectrogram(quantize(waveform)))

    def answer(self, picture: Tensor) -> Tensor:
        """The part after the spectrogram: [batch, bands, frames] to [batch, outputs]."""
        return meaning(self.network(picture.half().float()), self.classification)


def quantize(waveform: Tensor) -> Tensor:
    """The nearest of 65,536 steps, as clips are stored for training; 1.0 is clipped."""
    steps = (waveform * FULL_SCALE).round().clamp(-FULL_SCALE, FULL_SCALE - 1)
    return steps / FULL_SCALE


def meaning(outputs: Tensor, classification: bool) -> Tensor:
    """Raw outputs to probabilities, or to numbers within [-1, 1]."""
    return outputs.softmax(dim=1) if classification else outputs.clamp(-1, 1)


def build_clip_model(
    config: TrialConfig,
    state: Mapping[str, Tensor],
    *,
    sample_rate: int,
    samples: int,
    outputs: int,
    classification: bool,
    precision: Precision = "float64",
) -> ClipModel:
    """Put a trained network behind its spectrogram, on the CPU, ready to predict.

    Args:
        config: what was trained.
        state: weights and buffers, as in `Result.state` or a run's ``weights.safetensors``.
        sample_rate: of the waveforms, Hz.
        samples: in a clip.
        outputs: numbers or classes.
        classification: whether the outputs are logits of classes.
        precision: of the arithmetic inside the spectrogram.

    Raises:
        ReleaseError: the weights are not those of this configuration.
    """
    spectrogram = Spectrogram(config.spectrogram, sample_rate)
    bands, frames = config.spectrogram.bands, spectrogram.frames(samples)
    with torch.random.fork_rng(devices=[]):  # the first weights are drawn, and replaced at once
        network = nn.Sequential(
            Normalization(bands),
            build_model(config.model, bands=bands, frames=frames, outputs=outputs),
        )
    try:
        network.load_state_dict(dict(state))
    except RuntimeError as error:
        reason = str(error).splitlines()[-1].strip()
        raise ReleaseError(
            f"the weights do not fit the configuration {config.digest} ({reason}); train it again "
            "with `fourier reproduce RUN`"
        ) from None
    spectrogram = spectrogram.to(torch.float32 if precision == "float32" else torch.float64)
    return ClipModel(spectrogram, network, classification).eval()


def describe_program(experiment: Experiment, config: TrialConfig) -> dict[str, Any]:
    """What a program must say of itself: what it hears, what it answers, where it comes from."""
    corpus = experiment.corpus
    return experiment.describe() | {
        "trial": config.to_dict(),
        "targets": list(corpus.targets),
        "classes": list(corpus.classes),
        "sample_rate": corpus.sample_rate,
        "clip_seconds": corpus.clip_seconds,
        "missing_samples": corpus.missing_samples,
        "precision": precision_of(experiment, config),
    }


def precision_of(experiment: Experiment, config: TrialConfig) -> Precision:
    """What a program must compute in to hear what the network was trained on."""
    single = experiment.store.precision(config.spectrogram) == torch.float32
    return "float32" if single else "float64"


def export_program(
    model: ClipModel, path: Path, *, samples: int, metadata: Mapping[str, Any]
) -> None:
    """Write a model as a PyTorch program (``.pt2``) for any batch size; whole or not at all.

    Args:
        model: on the CPU.
        path: the file to write.
        samples: in a clip.
        metadata: plain data that the program carries along; at least what `describe_program`
            gives. Samples and versions are added.

    Raises:
        ValueError: something is missing from the metadata.
    """
    missing = [key for key in REQUIRED if key not in {**metadata, "samples": samples}]
    if missing:
        raise ValueError(f"`metadata` must say {', '.join(missing)}, but got {sorted(metadata)}")
    about = {
        **metadata,
        "format": FORMAT,
        "samples": samples,
        "fourier": fourier.__version__,
        "torch": torch.__version__,
    }
    batch = torch.export.Dim("batch", min=1)
    with warnings.catch_warnings():
        # torch's own exporter calls what torch has deprecated
        warnings.simplefilter("ignore", FutureWarning)
        exported = torch.export.export(
            model.eval(), (torch.zeros(2, samples),), dynamic_shapes=({0: batch},)
        )
        # A single zero on the disk, spread out: the shape is all that anybody needs of it.
        exported.example_inputs = ((torch.zeros(1).expand(2, samples),), {})
        # By way of memory: on a full disk torch's own writer ends the process.
        archive = io.BytesIO()
        torch.export.save(exported, archive, extra_files={METADATA_FILE: json.dumps(about)})
    with written_whole(path) as file:
        file.write(archive.getbuffer())


def check_export(
    program: Program,
    experiment: Experiment,
    config: TrialConfig,
    state: Mapping[str, Tensor],
    rows: Tensor,
) -> float:
    """Compare a program with the training path, and with features that librosa computes.

    Both ways are taken in float32 on the CPU: from the stored samples through the program, and
    from the stored features through the network. Training may use bf16, and then its own figures
    differ from both by more than this.

    Args:
        program: what was exported.
        experiment: whose clips are taken.
        config: what was trained.
        state: its weights.
        rows: clips to compare on, held out from training, int64 [n].

    Returns:
        The largest difference from the training path, in probability or on the scale [-1, 1].

    Raises:
        ReleaseError: it is larger than 1e-4, or that from librosa's features than 1e-3.
    """
    task, rows = experiment.task, rows.cpu()
    model = build_clip_model(
        config,
        state,
        sample_rate=program.sample_rate,
        samples=program.samples,
        outputs=task.outputs,
        classification=bool(task.classes),
    )
    stored = experiment.store.get(config.spectrogram)
    features = stored.index_select(0, rows.to(stored.device)).cpu()
    steps = np.stack([experiment.pcm.audio[row] for row in rows])
    waveforms = steps.astype(np.float32) / np.float32(FULL_SCALE)
    answers = np.concatenate([program.predict(clip[None]) for clip in waveforms])
    trained = torch.from_numpy(predict(model.network, features, torch.arange(len(rows))))
    difference = _largest(answers, meaning(trained, model.classification))
    few = waveforms[:LIBROSA_CLIPS]
    heard = librosa_features(config.spectrogram, few, program.sample_rate)
    with torch.inference_mode():
        reference = model.answer(torch.from_numpy(heard))
    for name, value, limit in (
        ("the training path", difference, TOLERANCE),
        ("librosa's features", _largest(answers[:LIBROSA_CLIPS], reference), LIBROSA_TOLERANCE),
    ):
        if not value <= limit:
            raise ReleaseError(
                f"the exported program differs by {value:.1e} from {name}, more than {limit:.0e}; "
                "nothing was released: report this with the run's config.json"
            )
    return difference


def _largest(answers: npt.NDArray[np.float32], expected: Tensor) -> float:
    return float(np.abs(answers - expected.numpy()).max())
