"""Mixup and masked stripes: what they change, what they leave, and how much."""

import numpy as np
import pytest
import torch

from fourier.config import TrainingConfig
from fourier.training.augment import Augmentation, band_means, draw_stripes

CLIPS, BANDS, FRAMES = 64, 20, 30
SIZES = [32, 32]
FILL = -1e4


@pytest.fixture
def clips():
    return torch.rand((CLIPS, BANDS, FRAMES), generator=torch.Generator().manual_seed(0))


def augmented(clips, seed=0, targets=None, **settings):
    """One epoch's clips and targets after augmentation, and the noise that did it."""
    features = clips.half()
    augmentation = Augmentation(TrainingConfig(**settings), features, torch.arange(CLIPS))
    noise = augmentation.draw(np.random.default_rng(seed), SIZES)
    targets = torch.zeros(CLIPS, 2) if targets is None else targets
    fill = torch.full((BANDS, 1), FILL)
    batches = zip(clips.split(SIZES), targets.split(SIZES), noise, strict=True)
    out = [n.apply(x, y, fill) for x, y, n in batches]
    return torch.cat([x for x, _ in out]), torch.cat([y for _, y in out])


def test_without_settings_nothing_is_active():
    features = torch.zeros((CLIPS, BANDS, FRAMES)).half()
    assert not Augmentation(TrainingConfig(), features, torch.arange(CLIPS)).active
    # A mask narrower than one band masks nothing.
    narrow = TrainingConfig(freq_mask=0.04, time_mask=0.03)
    assert not Augmentation(narrow, features, torch.arange(CLIPS)).active
    for settings in ({"mixup": 0.1}, {"freq_mask": 0.1}, {"time_mask": 0.1}):
        config = TrainingConfig(**settings)
        assert Augmentation(config, features, torch.arange(CLIPS)).active


@pytest.mark.parametrize("freq_mask", [0.0, 0.1, 0.5])
@pytest.mark.parametrize("time_mask", [0.0, 0.1, 0.5])
def test_masks_are_one_stripe_of_each_kind_within_their_bound(clips, freq_mask, time_mask):
    out, _ = augmented(clips, freq_mask=freq_mask, time_mask=time_mask)
    masked = out == FILL
    assert torch.equal(out[~masked], clips[~masked])
    bands, frames = masked.all(2), masked.all(1)
    assert torch.equal(masked, bands[:, :, None] | frames[:, None, :])
    for stripe, share in ((bands, freq_mask), (frames, time_mask)):
        widths = stripe.sum(1)
        assert widths.max() <= share * stripe.shape[1]
        assert len(widths.unique()) == int(share * stripe.shape[1]) + 1  # every width occurs
        edges = torch.diff(stripe.int(), dim=1, prepend=torch.zeros(CLIPS, 1)) == 1
        assert (edges.sum(1) <= 1).all()


def test_stripes_reach_every_cell_and_every_width_alike():
    stripes = draw_stripes(np.random.default_rng(0), 20_000, 10, 4)
    widths = np.bincount(stripes[:, 1] - stripes[:, 0], minlength=5) / 20_000
    np.testing.assert_allclose(widths, 0.2, atol=0.02)
    assert stripes.min() == 0
    assert stripes.max() == 10
    singles = stripes[stripes[:, 1] - stripes[:, 0] == 1, 0]
    np.testing.assert_allclose(np.bincount(singles, minlength=10) / len(singles), 0.1, atol=0.02)


def test_a_stripe_as_wide_as_the_picture_still_fits():
    assert draw_stripes(np.random.default_rng(0), 50, 3, 3).max() == 3


def test_masked_cells_become_their_bands_mean_over_the_training_clips(clips):
    features = (clips * 50 - 80).half()
    rows = torch.arange(0, CLIPS, 3)
    fill = Augmentation(TrainingConfig(time_mask=0.5), features, rows).fill
    expected = features[rows].double().mean(dim=(0, 2)).float()[:, None]
    torch.testing.assert_close(fill, expected)


def test_band_means_do_not_depend_on_the_block(clips, monkeypatch):
    whole = band_means(clips.half(), torch.arange(CLIPS))
    monkeypatch.setattr("fourier.training.augment.BLOCK_VALUES", 7 * BANDS * FRAMES)
    torch.testing.assert_close(band_means(clips.half(), torch.arange(CLIPS)), whole)


def test_mixup_mixes_clip_and_target_alike_with_the_neighbour_in_the_batch(clips):
    targets = torch.rand((CLIPS, 2), generator=torch.Generator().manual_seed(1))
    out, mixed = augmented(clips, targets=targets, mixup=0.4)
    for begin in (0, 32):
        mine = slice(begin, begin + 32)
        x, y = clips[mine], targets[mine]
        share = ((mixed[mine] - y.roll(1, 0)) / (y - y.roll(1, 0))).mean(1)
        assert ((share > -0.01) & (share < 1.01)).all()
        assert share.std() > 0.2  # each clip has its own
        share = share[:, None, None]
        torch.testing.assert_close(
            out[mine], share * x + (1 - share) * x.roll(1, 0), atol=1e-3, rtol=0
        )


@pytest.mark.parametrize("alpha", [0.2, 1.0, 2.0])
def test_mixup_shares_follow_the_beta_distribution(alpha):
    features = torch.zeros((4, 8, 8)).half()
    augmentation = Augmentation(TrainingConfig(mixup=alpha), features, torch.arange(4))
    noise = augmentation.draw(np.random.default_rng(0), [20_000])
    share = noise[0].share.double()
    assert share.mean().item() == pytest.approx(0.5, abs=0.02)
    assert share.var().item() == pytest.approx(1 / (4 * (2 * alpha + 1)), abs=0.01)


def test_a_batch_of_one_has_nobody_to_mix_with(clips):
    augmentation = Augmentation(TrainingConfig(mixup=1.0), clips.half(), torch.arange(CLIPS))
    noise = augmentation.draw(np.random.default_rng(0), [1])[0]
    out, target = noise.apply(clips[:1], torch.ones(1, 2), augmentation.fill)
    torch.testing.assert_close(out, clips[:1])
    torch.testing.assert_close(target, torch.ones(1, 2))


def test_the_same_seed_draws_the_same_noise_and_another_does_not(clips):
    settings = {"mixup": 0.3, "freq_mask": 0.3, "time_mask": 0.3}
    first, again, other = (augmented(clips, seed=seed, **settings)[0] for seed in (5, 5, 6))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
