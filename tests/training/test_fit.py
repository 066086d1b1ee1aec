"""The engine: it learns, stops, keeps the best, repeats itself, and leaves no trace."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from fourier.config import TrainingConfig
from fourier.training import Split, TrainingDiverged, predict
from fourier.training.fit import batch_sizes

QUICK = TrainingConfig(epochs=8, batch_size=16, lr=0.01, patience=0, precision="fp32")
ALL_NOISE = {"mixup": 0.2, "freq_mask": 0.2, "time_mask": 0.2, "label_smoothing": 0.1}


class PrunedError(Exception):
    """What a study raises in the middle of a trial."""


class Constant(nn.Module):
    """Never sees its input; one weight, so that its training can be followed by hand."""

    def __init__(self, outputs):
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(outputs))

    def forward(self, x):
        return self.bias.expand(len(x), -1)


def without_times(metrics):
    return {name: value for name, value in metrics.items() if name != "epoch_seconds"}


def test_a_separable_problem_is_learned(genres, moods):
    genre = genres.fit(QUICK).metrics
    assert genre["track_accuracy"] == 1.0
    assert genre["segment_accuracy"] > 0.9
    for loss in ("mse", "ccc", "mse+ccc"):
        mood = moods.fit(replace(QUICK, loss=loss, epochs=15))
        assert mood.metrics["ccc"] > 0.7, loss
        assert mood.history[-1]["train_loss"] < mood.history[0]["train_loss"] / 2, loss


def test_convolutions_learn_in_bf16_with_all_noise_on(genres):
    config = replace(QUICK, epochs=15, precision="bf16", schedule="one_cycle", **ALL_NOISE)
    assert genres.fit(config, genres.cnn).metrics["track_accuracy"] == 1.0


def test_shuffled_labels_are_not_learned(genres):
    _, track = np.unique(genres.tracks, return_inverse=True)
    genres.targets = torch.from_numpy(np.random.default_rng(0).integers(0, 4, 36)[track])
    result = genres.fit(QUICK)
    assert result.history[-1]["segment_accuracy"] < 0.5
    assert result.history[-1]["train_loss"] < 1.0  # by heart, though


def test_the_result_is_the_best_epoch_and_its_state_gives_its_metrics_again(genres):
    for build in (genres.mlp, genres.cnn):
        result = genres.fit(replace(QUICK, lr=0.1), build)
        best = max(range(QUICK.epochs), key=lambda e: result.history[e]["objective"])
        assert result.best_epoch == best
        assert result.metrics == result.history[best]
        network = build()
        network.load_state_dict(result.state)
        outputs = predict(network, genres.features, genres.split.valid)
        np.testing.assert_allclose(outputs, result.predictions, rtol=1e-4, atol=1e-5)
        valid = genres.split.valid.numpy()
        again = genres.task.evaluate(outputs, genres.targets[valid], genres.tracks[valid])
        assert {n: result.metrics[n] for n in again} == pytest.approx(again, rel=1e-5)


def test_a_minimised_objective_keeps_the_smallest(moods):
    moods.task = replace(moods.task, objective="rmse")
    result = moods.fit(replace(QUICK, loss="mse"))
    assert result.metrics["rmse"] == min(epoch["rmse"] for epoch in result.history)


def test_the_state_is_contiguous_on_the_cpu_and_detached(genres):
    result = genres.fit(replace(QUICK, epochs=1), genres.cnn)
    assert set(result.state) == set(genres.cnn().state_dict())
    for value in result.state.values():
        assert value.is_contiguous()
        assert value.device.type == "cpu"
        assert not value.requires_grad


@pytest.mark.parametrize("patience", [1, 3])
def test_patience_ends_a_training_that_gets_no_better(moods, patience):
    # A constant has no concordance: the first epoch is the best and no later one is better.
    config = replace(QUICK, epochs=20, patience=patience, loss="mse")
    result = moods.fit(config, lambda: Constant(2))
    assert result.epochs == len(result.history) == 1 + patience
    assert result.best_epoch == 0


def test_without_patience_every_epoch_runs(moods):
    config = replace(QUICK, epochs=5, patience=0, loss="mse")
    assert moods.fit(config, lambda: Constant(2)).epochs == 5


def test_each_epoch_is_reported_once_with_its_metrics(genres):
    seen = []
    result = genres.fit(QUICK, report=lambda epoch, metrics: seen.append((epoch, dict(metrics))))
    assert [epoch for epoch, _ in seen] == list(range(QUICK.epochs))
    assert [metrics for _, metrics in seen] == result.history
    expected = {*genres.task.metric_names, "objective", "train_loss", "lr", "epoch_seconds"}
    for _, metrics in seen:
        assert set(metrics) == expected
        assert metrics["epoch_seconds"] > 0
    assert result.seconds >= sum(metrics["epoch_seconds"] for _, metrics in seen)


def test_a_report_that_says_stop_ends_the_training_with_what_there_is(genres):
    result = genres.fit(QUICK, report=lambda epoch, _: epoch == 2)
    assert result.epochs == 3


@pytest.mark.parametrize("error", [PrunedError, KeyboardInterrupt])
@pytest.mark.parametrize("deterministic", [False, True])
def test_what_a_report_raises_passes_and_leaves_no_trace(genres, error, deterministic, monkeypatch):
    monkeypatch.setattr(torch.backends.cudnn, "deterministic", deterministic)

    def report(epoch, metrics):
        if epoch == 1:
            raise error

    before = torch.get_rng_state()
    with pytest.raises(error):
        genres.fit(QUICK, genres.cnn, report)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.backends.cudnn.deterministic is deterministic


def test_a_training_leaves_the_random_state_and_its_arguments_alone(genres):
    state, legacy = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    features, targets = genres.features.clone(), genres.targets.clone()
    genres.fit(replace(QUICK, epochs=2, **ALL_NOISE), genres.cnn)
    assert torch.equal(torch.get_rng_state(), state)
    assert np.array_equal(np.random.get_state()[1], legacy)  # noqa: NPY002
    assert torch.equal(genres.features, features)
    assert torch.equal(genres.targets, targets)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_the_same_seed_gives_the_same_bits_whatever_came_before(genres, precision):
    config = replace(QUICK, epochs=2, precision=precision, **ALL_NOISE)
    first = genres.fit(config, genres.cnn)
    torch.manual_seed(1234)
    again = genres.fit(config, genres.cnn)
    for name, value in first.state.items():
        assert torch.equal(value, again.state[name]), name
    assert np.array_equal(first.predictions, again.predictions)
    assert list(map(without_times, first.history)) == list(map(without_times, again.history))
    other = genres.fit(replace(config, seed=1), genres.cnn)
    assert not np.array_equal(first.predictions, other.predictions)


def test_the_seed_decides_weights_order_dropout_and_noise(genres):
    """Each on its own: a change of seed moves the result when all else is held still."""

    def dropping():
        return nn.Sequential(nn.Dropout(0.5), *fixed())

    def fixed():
        network = genres.mlp()
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.copy_(torch.linspace(-0.1, 0.1, parameter.numel()).view_as(parameter))
        return network

    whole = replace(QUICK, epochs=1, batch_size=4096)  # one step: no order to speak of
    table = {
        "nothing": (fixed, whole, False),
        "weights": (genres.mlp, whole, True),
        "order": (fixed, replace(whole, batch_size=16), True),
        "dropout": (dropping, whole, True),
        "mixup": (fixed, replace(whole, mixup=0.5), True),
        "masks": (fixed, replace(whole, time_mask=0.5), True),
    }
    for name, (build, config, moves) in table.items():
        one, two = (genres.fit(replace(config, seed=seed), build).predictions for seed in (0, 1))
        assert bool(np.abs(one - two).max() > 1e-4) is moves, name


def test_too_high_a_learning_rate_diverges_and_says_when(moods):
    class Exponential(nn.Module):
        def forward(self, x):
            return torch.exp(x)

    def steep():
        return nn.Sequential(nn.Flatten(), nn.Linear(96, 2), Exponential())

    config = replace(QUICK, schedule="constant", loss="mse")
    assert moods.fit(replace(config, lr=1e-3), steep).epochs == QUICK.epochs
    with pytest.raises(TrainingDiverged, match="the loss became (nan|inf) in epoch [0-7]$"):
        moods.fit(replace(config, lr=1.0), steep)


def test_predictions_that_overflow_after_the_last_step_count_as_diverged(moods):
    class FailsInUse(Constant):
        def forward(self, x):
            return super().forward(x) if self.training else super().forward(x) + torch.inf

    with pytest.raises(TrainingDiverged, match="predictions are not finite after epoch 0"):
        moods.fit(replace(QUICK, loss="mse"), lambda: FailsInUse(2))


def test_training_clips_are_augmented_and_validation_clips_never(genres):
    """A planted network notes what it is shown."""
    shown = {True: [], False: []}

    class Witness(Constant):
        def forward(self, x):
            shown[self.training].append(x.detach().clone())
            return super().forward(x)

    originals = genres.features.float()
    for settings in ({"mixup": 1.0}, {"freq_mask": 0.5}, {"time_mask": 0.5}):
        shown[True].clear()
        shown[False].clear()
        genres.fit(replace(QUICK, epochs=2, **settings), lambda: Witness(4))
        valid = torch.cat(shown[False])
        assert torch.equal(valid, originals[genres.split.valid].repeat(2, 1, 1))
        train = torch.cat(shown[True])
        untouched = (train[:, None] == originals[None]).flatten(2).all(2).any(1)
        assert untouched.double().mean() < 0.5, settings


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_precision_and_mode_are_what_they_should_be(genres, precision):
    seen = set()

    class Witness(Constant):
        def forward(self, x):
            seen.add((self.training, torch.is_grad_enabled(), torch.is_autocast_enabled("cpu")))
            assert x.dtype == torch.float32
            return super().forward(x)

    # A network that comes in evaluation mode is trained in training mode all the same.
    genres.fit(replace(QUICK, epochs=2, precision=precision), lambda: Witness(4).eval())
    assert seen == {(True, True, precision == "bf16"), (False, False, precision == "bf16")}


def test_every_training_clip_is_shown_once_an_epoch_in_another_order(genres):
    shown = []

    class Witness(Constant):
        def forward(self, x):
            if self.training:
                shown.append(x.detach().clone())
            return super().forward(x)

    genres.fit(replace(QUICK, epochs=2), lambda: Witness(4))
    epochs = torch.cat(shown).chunk(2)
    expected = genres.features[genres.split.train].float()
    sums = [torch.sort(epoch.sum((1, 2))).values for epoch in epochs]
    torch.testing.assert_close(sums[0], torch.sort(expected.sum((1, 2))).values)
    torch.testing.assert_close(sums[0], sums[1])
    assert not torch.equal(epochs[0], epochs[1])
    assert not torch.equal(epochs[0], expected)


@pytest.mark.parametrize(
    ("clips", "batch_size", "expected"),
    [
        (64, 32, [32, 32]),
        (65, 32, [22, 22, 21]),
        (33, 32, [17, 16]),
        (5, 32, [5]),
        (1, 32, [1]),
        (3, 1, [1, 1, 1]),
        (7, 3, [3, 2, 2]),
    ],
)
def test_batches_are_even_and_drop_nobody(clips, batch_size, expected):
    assert batch_sizes(clips, batch_size) == expected


def test_batch_normalisation_never_meets_a_batch_of_one(genres):
    def normalised():
        return nn.Sequential(nn.Flatten(), nn.Linear(96, 4), nn.BatchNorm1d(4))

    genres.split = replace(genres.split, train=genres.split.train[:33])
    assert genres.fit(replace(QUICK, epochs=1, batch_size=32), normalised).epochs == 1


def test_train_loss_is_the_mean_over_clips(moods):
    # Frozen in effect: the smallest learning rate moves nothing that shows.
    config = replace(QUICK, epochs=1, lr=1e-7, loss="mse", batch_size=60)
    moods.split = replace(moods.split, train=moods.split.train[:61])
    result = moods.fit(config, lambda: Constant(2))
    expected = moods.targets[moods.split.train].square().mean().item()
    assert result.metrics["train_loss"] == pytest.approx(expected, rel=1e-4)


def test_the_learning_rate_follows_the_schedule(genres):
    steps = -(-96 // 16)
    history = genres.fit(replace(QUICK, schedule="cosine", warmup=0.0)).history
    last = np.arange(1, QUICK.epochs + 1) * steps - 1
    expected = QUICK.lr * (1 + np.cos(np.pi * last / (QUICK.epochs * steps))) / 2
    np.testing.assert_allclose([epoch["lr"] for epoch in history], expected)


def test_labels_outside_the_split_are_never_read(genres, moods):
    for toy, blank, loss in ((genres, -1, "cross_entropy"), (moods, torch.nan, "mse")):
        toy.split = Split(train=toy.split.train[:-8], valid=toy.split.valid[:-8])
        seen = torch.cat([toy.split.train, toy.split.valid])
        blanked = torch.full_like(toy.targets, blank)
        blanked[seen] = toy.targets[seen]
        config = replace(QUICK, epochs=2, mixup=0.2, loss=loss)
        expected = toy.fit(config)
        toy.targets = blanked
        assert np.array_equal(toy.fit(config).predictions, expected.predictions)


class HostReads(TorchDispatchMode):
    """Counts what makes the host wait for a device: values read back, sizes that depend on data."""

    waits = ("_local_scalar_dense", "nonzero", "masked_select", "_unique2", "index_put_")

    def __init__(self):
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.count += func.overloadpacket.__name__ in self.waits
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("noise", [{}, ALL_NOISE], ids=["plain", "augmented"])
def test_the_host_waits_no_more_often_when_there_are_more_batches(genres, noise):
    counts = []
    for batch_size in (96, 8):
        config = replace(QUICK, epochs=2, batch_size=batch_size, **noise)
        with HostReads() as reads:
            genres.fit(config, genres.cnn)
        counts.append(reads.count)
    assert counts[0] == counts[1]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"targets": torch.zeros(3)}, "must be of one length"),
        ({"split": Split(torch.arange(0), torch.arange(4))}, "both parts of a split"),
        ({"split": Split(torch.arange(4), torch.arange(0))}, "both parts of a split"),
    ],
)
def test_arguments_that_do_not_fit_together_are_refused(genres, change, message):
    for name, value in change.items():
        setattr(genres, name, value)
    with pytest.raises(ValueError, match=message):
        genres.fit(QUICK)


def test_a_loss_of_another_task_is_refused_before_anything_is_built(genres):
    with pytest.raises(ValueError, match="must be one of 'cross_entropy', but got 'mse'"):
        genres.fit(replace(QUICK, loss="mse"), build=lambda: pytest.fail("was built"))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_cuda_gives_the_same_bits_and_the_same_clips_as_the_cpu(genres):
    config = replace(QUICK, epochs=2, **ALL_NOISE)
    on_cpu = genres.fit(replace(config, precision="fp32"))
    genres.features, genres.targets = genres.features.cuda(), genres.targets.cuda()
    close = genres.fit(replace(config, precision="fp32"))
    np.testing.assert_allclose(close.predictions, on_cpu.predictions, atol=0.05)
    for build in (genres.mlp, genres.cnn):
        first, again = genres.fit(config, build), genres.fit(config, build)
        for name, value in first.state.items():
            assert torch.equal(value, again.state[name]), name
