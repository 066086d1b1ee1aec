import pytest

from fourier.cli.main import main
from fourier.errors import ReleaseError
from fourier.release.reproduce import Reproduction, find_run
from fourier.search.storage import open_storage
from fourier.search.study import find_study
from fourier.tracking import Tracker

from .studies import open_experiment, run_sweep


def trial_runs(study="gtzan"):
    trials = find_study(study, open_storage(None)).trials
    return [trial.user_attrs["run_id"] for trial in trials]


SIDES = {
    "the same": ({"ccc": 0.5}, {"ccc": 0.5}, []),
    "rounding": ({"ccc": 0.5}, {"ccc": 0.5 + 1e-9}, []),
    "another value": ({"ccc": 0.5, "mae": 0.1}, {"ccc": 0.50001, "mae": 0.1}, ["ccc"]),
    "only then": ({"ccc": 0.5, "mae": 0.1}, {"ccc": 0.5}, ["mae"]),
    "only now": ({"ccc": 0.5}, {"ccc": 0.5, "mae": 0.1}, ["mae"]),
    "nothing and almost nothing": ({"ccc": 0.0}, {"ccc": 1e-12}, []),
}


@pytest.mark.parametrize(("stored", "again", "different"), SIDES.values(), ids=SIDES)
def test_metrics_differ_by_more_than_rounding(stored, again, different):
    assert Reproduction(stored, again, "cpu", "cpu").different == different


def test_a_trial_trained_again_comes_to_the_same(swept, capsys):
    run = trial_runs()[1]
    assert main(["reproduce", run, *swept.words]) == 0
    out = capsys.readouterr().out
    assert "every metric is the same" in out
    assert "track_accuracy" in out
    assert "epoch_seconds" not in out


def test_a_trial_that_was_stopped_early_is_stopped_at_the_same_epoch(swept):
    from fourier.config import TrialConfig
    from fourier.release.reproduce import open_experiment_of, reproduce
    from fourier.release.runs import read_config
    from fourier.search.watch import Watcher
    from fourier.training import pick_device

    run = trial_runs()[1]
    tracker = Tracker.connect()
    stored = find_run(tracker, run)
    full = len(tracker.client.get_metric_history(run, "val/objective"))
    assert stored.epochs == full
    assert isinstance(read_config(tracker, run).trial, TrialConfig)
    short = type(stored)(run, stored.config, stored.metrics, 3, stored.device)
    seen = []

    class Counter(Watcher):
        def epoch_ends(self, _slot, epoch, *_):
            seen.append(epoch)

    experiment = open_experiment(swept.data, swept.cache)
    again = open_experiment_of(
        stored, experiment.corpus, swept.cache, pick_device("cpu"), Watcher(), 1
    )
    reproduce(short, again, Counter())
    assert seen == [0, 1, 2]


def test_a_figure_that_was_tampered_with_is_noticed(swept, capsys):
    run = trial_runs()[0]
    Tracker.connect().client.log_metric(run, "best/log_loss", 0.01)
    assert main(["reproduce", run, *swept.words]) == 1
    out = capsys.readouterr().out
    assert "Not reproduced" in out
    assert "1 of" in out
    (line,) = [line for line in out.splitlines() if line.endswith("differs")]
    assert line.split()[0] == "log_loss"


def test_another_device_is_named_as_the_likely_reason(swept, capsys):
    client, run = Tracker.connect().client, trial_runs()[0]
    client.log_metric(run, "best/log_loss", 0.01)
    client.set_tag(run, "fourier.device", "cuda:0")
    assert main(["reproduce", run, *swept.words]) == 1
    assert "trained on cuda:0 and now on cpu" in " ".join(capsys.readouterr().out.split())


def test_a_promotion_can_be_reproduced_like_a_trial(swept, capsys):
    words = ["--study", "idle", "--top", "1", "--seeds", "1", "--yes"]
    assert main(["promote", "gtzan", *swept.words, *words]) == 0
    run = Tracker.connect().client.get_model_version("fourier-gtzan", "1").run_id
    assert main(["reproduce", run, *swept.words]) == 0


def test_a_run_without_a_result_is_one_line(workplace, small_gtzan, tmp_path):
    sweep = run_sweep(
        open_experiment(small_gtzan, tmp_path / "cache"), "fails", loss="mse", trials=1
    )
    (trial,) = sweep.shared.trials
    with pytest.raises(ReleaseError, match="no run .* with a config.json"):
        find_run(Tracker.connect(), trial.user_attrs["run_id"])


def test_wrong_words_are_one_line(swept, tiny_gtzan, capsys):
    run = trial_runs()[0]
    cases = [
        (["0" * 32, *swept.words], "there is no run 000"),
        ([run, "--cache", str(swept.cache)], "corpus gtzan; name its folder with --data DIR"),
        ([run, "--data", str(tiny_gtzan), "--cache", str(swept.cache)], "was made with corpus"),
    ]
    for words, text in cases:
        assert main(["reproduce", *words]) == 1
        err = capsys.readouterr().err
        assert text in err
        assert err.count("\n") == 1
