"""A process killed at every point of a sweep where something is half done."""

import contextlib
import time

import pandas as pd
import pytest

from fourier.tracking import Tracker

STUDY, TRIAL = "optuna.study:Study", "optuna.trial:Trial"
RUN, TRACKER = "fourier.tracking.runs:TrackedRun", "fourier.tracking.tracker:Tracker"
WRITER = "fourier.tracking.writes:Writer"
SHARED, RECORD = "fourier.search.study:SharedStudy", "fourier.search.record:StudyRecord"
WRITE = "fourier.search:trial.write_artifacts"

# Each start first runs again what the last one left, then most die in the trial after: the second.
POINTS = {
    "no run of the study yet": (f"{TRACKER}.open_run", "before"),
    "the study's run is not noted": (f"{STUDY}.set_user_attr", "before", "run_id"),
    "one baseline is measured": (f"{RUN}.end", "after"),
    "baselines are not noted": (f"{STUDY}.set_user_attr", "before", "baselines"),
    "asked, not claimed": (f"{STUDY}.ask", "after", "", 2),
    "claimed": (f"{TRIAL}.set_user_attr", "after", "claim", 2),
    "drawn, no run": (f"{TRACKER}.open_run", "before", "", 2),
    "drawn, its run is on its way": (f"{TRACKER}.open_run", "after", "", 2),
    "a run without its id in the trial": (f"{WRITER}._make_run", "after", "", 2),
    "a run without parameters": (f"{RUN}.log_params", "before", "", 2),
    "a run that the trial knows": (f"{TRIAL}.set_user_attr", "after", "run_id", 2),
    "an epoch is logged, not reported": (f"{TRIAL}.report", "before", "", 4),
    "a dead trial is about to be buried": (f"{SHARED}.bury", "before"),
    "a dead trial is buried, its run still runs": (f"{SHARED}.bury", "after"),
    "an epoch is reported": (f"{TRIAL}.report", "after", "", 3),
    "a dead trial is said to be lost, not ended": (f"{STUDY}.tell", "before"),
    "learned, nothing written": (WRITE, "before", "", 2),
    "its run is about to be ended": (f"{RUN}.end", "before"),
    "artifacts in a folder": (WRITE, "after", "", 2),
    "artifacts in the run": (f"{RUN}.log_folder", "after", "", 2),
    "no values in the trial": (f"{TRIAL}.set_user_attr", "before", "metrics", 2),
    "values in the trial": (f"{TRIAL}.set_user_attr", "after", "metrics", 2),
    "about to tell": (f"{STUDY}.tell", "before", "", 3),
    "told, its run still runs": (f"{STUDY}.tell", "after", "", 3),
    "the run of a finished trial is about to be ended": (f"{RUN}.end", "before"),
    "its last points and its end are held back": (f"{RUN}.end", "after", "", 3),
    "its last points are written": ("mlflow:MlflowClient.set_terminated", "before", "", 3),
    "ended": ("mlflow:MlflowClient.set_terminated", "after", "", 3),
    "about to tell of a failure": (f"{STUDY}.tell", "before", "", 2),
    "told of a failure": (f"{STUDY}.tell", "after", "", 3),
    "the run of a failure is about to be ended": (f"{RUN}.end", "before", "", 3),
    "about to sum up": (f"{RECORD}.sum_up", "before"),
    "summed up": (f"{RECORD}.sum_up", "after"),
}
IN_A_DATABASE = (
    "a run without its id in the trial",
    "a dead trial is said to be lost, not ended",
    "values in the trial",
    "told, its run still runs",
)


@pytest.mark.slow
@pytest.mark.parametrize("storage", [None, "sqlite:///studies.db"])
def test_whatever_is_killed_the_next_start_puts_right(storage, run, killed, workplace, tiny_gtzan):
    import dying

    for name in POINTS if storage is None else IN_A_DATABASE:
        wrong = "always" if "failure" in name else None
        code = run(dying.start, workplace, tiny_gtzan, POINTS[name], storage=storage, wrong=wrong)
        assert code == killed, f"{name}: {code}"
    assert run(dying.start, workplace, tiny_gtzan, storage=storage) == 0
    assert run(dying.check, workplace, None, storage=storage) == 0


@pytest.mark.slow
def test_a_trial_that_was_told_is_not_taken_back_when_mlflow_breaks_before_its_run_has_ended(
    run, workplace, tiny_gtzan
):
    import dying

    point = (f"{RUN}.end", "raise", "", 5)  # two baselines, a whole trial, this one's own
    assert run(dying.start, workplace, tiny_gtzan, point, total=3) == 1
    assert run(dying.start, workplace, tiny_gtzan, total=3) == 0
    assert run(dying.check, workplace, 3) == 0
    assert "lost" not in (workplace / "mlruns" / "studies.journal").read_text()


@pytest.mark.slow
def test_a_run_that_is_not_as_its_finished_trial_is_put_right(run, workplace, tiny_gtzan):
    import dying

    assert run(dying.start, workplace, tiny_gtzan, total=3) == 0
    assert run(dying.falsify, workplace) == 0
    assert run(dying.check, workplace, 3) == 1
    assert run(dying.start, workplace, tiny_gtzan, total=3) == 0
    assert run(dying.check, workplace, 3) == 0


@pytest.mark.slow
def test_a_run_that_its_living_process_is_about_to_end_is_left_to_it(
    processes, run, workplace, tiny_gtzan
):
    import dying

    point = (f"{RUN}.end", "wait", "", 3)  # two baselines, then the first trial's own
    other = processes.Process(
        target=dying.start, args=(workplace, tiny_gtzan, point), kwargs={"total": 2}
    )
    with waiting(other, workplace):
        assert run(dying.look, workplace, tiny_gtzan) == 0
    assert other.exitcode == 0
    assert run(dying.check, workplace, 2) == 0, "a curve has points twice"


@pytest.mark.slow
def test_two_that_look_at_once_put_a_run_right_once(processes, run, killed, workplace, tiny_gtzan):
    import dying

    point = (f"{STUDY}.tell", "after")
    assert run(dying.start, workplace, tiny_gtzan, point) == killed
    point = (f"{TRACKER}.find_runs", "wait")
    one = processes.Process(target=dying.look, args=(workplace, tiny_gtzan, point))
    two = processes.Process(target=dying.look, args=(workplace, tiny_gtzan))
    with waiting(one, workplace):
        two.start()
        two.join(3)  # it waits for the other, which has seen what is missing
    two.join(120)
    assert (one.exitcode, two.exitcode) == (0, 0)
    assert run(dying.start, workplace, tiny_gtzan, total=2) == 0
    assert run(dying.check, workplace, 2) == 0, "a point is there twice"


@pytest.mark.slow
@pytest.mark.parametrize(
    "damage", [lambda data: data[:-30], lambda data: data.replace(b"0.", b"x.")], ids=["cut", "odd"]
)
def test_a_damaged_history_gives_a_run_no_points(damage, run, killed, workplace, tiny_gtzan):
    import dying

    point = (f"{STUDY}.tell", "after")
    assert run(dying.start, workplace, tiny_gtzan, point) == killed
    (path,) = workplace.rglob("history.csv")
    learned = list(pd.read_csv(path)["objective"])
    path.write_bytes(damage(path.read_bytes()))
    assert run(dying.look, workplace, tiny_gtzan) == 0
    tracker = Tracker.connect()
    (found,) = tracker.client.search_runs(
        [tracker.client.get_experiment_by_name("gtzan").experiment_id],
        "tags.`fourier.kind` = 'trial'",
    )
    curve = tracker.client.get_metric_history(found.info.run_id, "val/objective")
    assert {point.value for point in curve} <= set(learned)
    assert found.info.status == "FINISHED"
    assert found.data.metrics["best/objective"] == pytest.approx(max(learned))


@contextlib.contextmanager
def waiting(process, folder):
    """A process that waits where it shall, until all inside is done; it ends in any case."""
    process.start()
    try:
        while not (folder / "waiting").exists():
            assert process.is_alive()
            time.sleep(0.01)
        yield
        (folder / "go").touch()
        process.join(120)
    finally:
        process.kill()
        process.join()
