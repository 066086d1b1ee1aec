"""Normalisation: what each kind promises, and that only the training clips are looked at."""

import pytest
import torch

from fourier.config import SpectrogramConfig
from fourier.features import normalization as module
from fourier.features.normalization import Normalization, fit_normalization


def decibels(clips: int = 40, bands: int = 8, frames: int = 10) -> torch.Tensor:
    """Bands of different level and spread, [clips, bands, frames] float16."""
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(clips, bands, frames, generator=generator)
    level = torch.linspace(-70, -10, bands)[:, None]
    spread = torch.linspace(1, 8, bands)[:, None]
    return (noise * spread + level).half()


def config(normalization: str, floor_db: float = 80.0) -> SpectrogramConfig:
    return SpectrogramConfig(normalization=normalization, floor_db=floor_db)


@pytest.mark.parametrize("floor_db", [60.0, 80.0])
def test_unit_maps_the_floor_to_0_and_the_ceiling_to_1(floor_db: float) -> None:
    features = torch.tensor([-floor_db, -floor_db / 2, 0.0]).half().expand(1, 8, 3)
    fitted = fit_normalization(features, torch.arange(1), config("unit", floor_db))
    expected = torch.tensor([0, 0.5, 1.0]).expand(1, 8, 3)
    torch.testing.assert_close(fitted(features), expected)


@pytest.mark.parametrize("chunk", [1, 7, 256])
def test_standardize_gives_each_band_zero_mean_and_unit_variance_over_the_training_clips(
    monkeypatch: pytest.MonkeyPatch, chunk: int
) -> None:
    monkeypatch.setattr(module, "CHUNK_CLIPS", chunk)
    features, rows = decibels(), torch.arange(0, 40, 2)
    fitted = fit_normalization(features, rows, config("standardize"))
    train = fitted(features)[rows]
    assert train.dtype == torch.float32
    assert train.mean(dim=(0, 2)).abs().max() < 1e-4
    assert (train.std(dim=(0, 2), correction=0) - 1).abs().max() < 1e-4


def test_other_clips_are_not_looked_at() -> None:
    features, rows = decibels(), torch.arange(20)
    before = fit_normalization(features, rows, config("standardize"))
    features[20:] = 1000
    after = fit_normalization(features, rows, config("standardize"))
    assert torch.equal(before.shift, after.shift)
    assert torch.equal(before.scale, after.scale)


def test_a_level_far_from_zero_does_not_cost_precision() -> None:
    features = (decibels(200, 8, 100) * 0.01 + 1000).half()  # spacing there: 0.5
    features[:, 0] = torch.tensor([1000.0, 1000.5] * 50).half()
    fitted = fit_normalization(features, torch.arange(200), config("standardize"))
    assert fitted.shift[0].item() == pytest.approx(1000.25, abs=1e-4)
    assert 1 / fitted.scale[0].item() == pytest.approx(0.25, abs=1e-5)


def test_a_band_that_never_changes_becomes_zero() -> None:
    features = decibels()
    features[:, 3] = -80
    fitted = fit_normalization(features, torch.arange(40), config("standardize"))
    assert (fitted(features)[:, 3] == 0).all()
    assert torch.isfinite(fitted(features)).all()


def test_none_is_the_identity() -> None:
    features = decibels()
    fitted = fit_normalization(features, torch.arange(40), config("none"))
    assert torch.equal(fitted(features), features.float())


def test_its_state_carries_it_to_another_module() -> None:
    features = decibels()
    fitted = fit_normalization(features, torch.arange(40), config("standardize"))
    other = Normalization(8)
    other.load_state_dict(fitted.state_dict())
    assert torch.equal(other(features), fitted(features))
    assert {name: list(value.shape) for name, value in other.state_dict().items()} == {
        "shift": [8, 1],
        "scale": [8, 1],
    }


def test_no_training_clip_is_a_value_error() -> None:
    none = torch.empty(0, dtype=torch.int64)
    with pytest.raises(ValueError, match="`rows` must hold at least one"):
        fit_normalization(decibels(), none, config("standardize"))
