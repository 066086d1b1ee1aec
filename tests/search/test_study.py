import os
import resource
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState

from fourier.errors import StudyError
from fourier.search import owner
from fourier.search.pruner import PatientMedian, make_pruner
from fourier.search.sampler import make_sampler
from fourier.search.storage import open_storage, study_lock
from fourier.search.study import DEATHS, Setting, open_study
from fourier.search.trial import TrialRunner

SETTING = Setting(
    task="deam",
    corpus="deam-demo",
    corpus_digest="0" * 16,
    protocol="track",
    objective="ccc",
    direction="maximize",
    epochs=5,
    seed=7,
)


@pytest.fixture(autouse=True)
def own_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def reopen(
    setting=SETTING, name="s", first=({"x": 0.25, "kind": "a"},), storage=None, pruner="none"
):
    return open_study(
        name,
        open_storage(storage),
        setting,
        sampler="tpe",
        pruner=pruner,
        lock=study_lock(name, storage),
        first=first,
    )


def learn(claim):
    """A stand-in for a trial: parameters, some of which exist only with others."""
    x = claim.trial.suggest_float("x", 0, 1)
    kind = claim.trial.suggest_categorical("kind", ["a", "b"])
    y = claim.trial.suggest_float("b.y", 0, 1) if kind == "b" else 0.0
    return x + y


def run_all(shared, total):
    while claim := shared.claim(total):
        shared.study.tell(claim.trial, learn(claim))


def history(shared):
    return [(trial.params, trial.value) for trial in shared.trials]


def test_the_first_trial_is_the_known_point():
    shared = reopen()
    run_all(shared, 3)
    assert shared.trials[0].params == {"x": 0.25, "kind": "a"}


def test_total_counts_the_trials_of_earlier_calls():
    run_all(reopen(), 3)
    run_all(reopen(), 3)
    assert len(reopen().trials) == 3
    run_all(reopen(), 5)
    assert len(reopen().trials) == 5


def test_a_lost_trial_does_not_count_and_its_slot_is_drawn_the_same_again():
    alone = reopen(name="alone")
    run_all(alone, 16)
    torn = reopen(name="torn")
    for lost_at in (0, 1, 5, 11, 14):
        run_all(torn, lost_at)
        claim = torn.claim(16)
        learn(claim)
        torn.bury(claim.trial, "killed")
    run_all(torn, 16)
    assert history(torn) == history(alone)
    assert len(torn.study.trials) == 21


def learn_by_epochs(shared, claim):
    """Report a curve; returns whether the trial was given up."""
    x = learn(claim)
    for epoch in range(SETTING.epochs):
        claim.trial.report(x * (epoch + 1), epoch)
        if claim.trial.should_prune():
            return True
    return False


@pytest.mark.parametrize("pruner", ["median", "hyperband"])
def test_a_lost_trial_and_its_number_change_nothing_about_which_trials_are_given_up(pruner):
    found = []
    for lost_at in (set(), {0, 3, 11, 14, 20}):
        storage = f"lost-at-{len(lost_at)}.journal"
        while claim := reopen(storage=storage, pruner=pruner).claim(24):  # a new process each
            shared = reopen(storage=storage, pruner=pruner)
            if claim.slot in lost_at:
                lost_at.remove(claim.slot)
                learn_by_epochs(shared, claim)
                shared.bury(claim.trial, "killed")
            elif learn_by_epochs(shared, claim):
                shared.study.tell(claim.trial, state=TrialState.PRUNED)
            else:
                shared.study.tell(claim.trial, 1.0)
        found.append([(t.params, t.state, t.intermediate_values) for t in shared.trials])
    assert found[0] == found[1]
    assert {state for _, state, _ in found[0]} == {TrialState.PRUNED, TrialState.COMPLETE}


def test_another_seed_draws_other_trials():
    one, other = reopen(name="one"), reopen(Setting(**SETTING.__dict__ | {"seed": 8}), name="two")
    run_all(one, 4)
    run_all(other, 4)
    assert history(one)[1:] != history(other)[1:]
    assert SETTING.seed_of(0) != SETTING.seed_of(1)


def test_a_killed_workers_trial_is_buried_by_the_next_start():
    script = textwrap.dedent(
        """
        import os, signal, sys
        sys.path.insert(0, sys.argv[1])
        from test_study import reopen, learn
        claim = reopen().claim(10)
        learn(claim)
        os.kill(os.getpid(), signal.SIGKILL)
        """
    )
    command = [sys.executable, "-c", script, str(Path(__file__).parent)]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    shared = reopen()
    assert [trial.state for trial in shared.trials] == [TrialState.RUNNING]
    lost = shared.bury_the_dead()
    assert [trial.number for trial in lost] == [0]
    assert shared.trials == []
    assert shared.study.trials[0].user_attrs["lost"] == "its process died"
    run_all(shared, 2)
    assert [trial.number for trial in shared.trials] == [1, 2]


def die_in_the_first_trial():
    script = textwrap.dedent(
        """
        import os, signal, sys
        sys.path.insert(0, sys.argv[1])
        from test_study import reopen, learn
        shared = reopen()
        shared.bury_the_dead()
        learn(shared.claim(10))
        os.kill(os.getpid(), signal.SIGKILL)
        """
    )
    command = [sys.executable, "-c", script, str(Path(__file__).parent)]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL


def test_a_slot_whose_process_dies_again_and_again_is_one_failed_trial_and_the_study_goes_on():
    for _ in range(DEATHS):
        die_in_the_first_trial()
    shared = reopen()
    shared.bury_the_dead()
    (failed,) = shared.trials
    assert failed.state == TrialState.FAIL
    assert f"died {DEATHS} times" in failed.user_attrs["reason"]
    assert all("lost" in trial.user_attrs for trial in shared.study.trials[: DEATHS - 1])
    run_all(shared, 3)
    assert [trial.user_attrs["claim"]["slot"] for trial in shared.trials] == [0, 1, 2]


def test_a_storage_that_breaks_in_mid_sweep_is_one_line(tmp_path):
    shared = reopen(storage=f"sqlite:///{tmp_path}/studies.db")
    run_all(shared, 1)
    (tmp_path / "studies.db").write_bytes(b"this is no database" * 1000)
    with pytest.raises(StudyError, match="--storage") as error:
        shared.claim(3)
    assert "\n" not in str(error.value)


def test_a_journal_that_cannot_be_written_is_one_line(tmp_path):
    shared = reopen()
    run_all(shared, 1)
    journal = tmp_path / "mlruns" / "studies.journal"
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (journal.stat().st_size + 10, hard))
    try:
        with pytest.raises(StudyError, match="File too large") as error:
            shared.claim(3)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    assert "\n" not in str(error.value)
    run_all(shared, 3)  # there is room again
    assert len(reopen().trials) == 3


def test_a_trial_that_somebody_else_ended_is_one_line():
    shared = reopen()
    claim = shared.claim(3)
    reopen().study.tell(claim.trial.number, state=TrialState.FAIL)
    with pytest.raises(StudyError, match="already finished"):
        shared.bury(claim.trial, "too late")


def test_a_journal_is_forced_to_the_disk_when_a_trial_ends_and_not_with_each_of_its_lines(
    monkeypatch,
):
    shared = reopen()
    forced = []
    monkeypatch.setattr(os, "fsync", forced.append)
    claim = shared.claim(3)
    learn(claim)
    for epoch in range(10):
        claim.trial.report(0.1 * epoch, epoch)
    claim.trial.set_user_attr("metrics", {"ccc": 0.5})
    assert forced == []
    shared.study.tell(claim.trial, 0.5)
    assert len(forced) == 1


def test_a_journal_is_one_that_optuna_reads_by_itself(tmp_path):
    run_all(reopen(), 3)
    backend = optuna.storages.journal.JournalFileBackend(f"{tmp_path}/mlruns/studies.journal")
    study = optuna.load_study(study_name="s", storage=optuna.storages.JournalStorage(backend))
    assert [trial.value for trial in study.trials] == [trial.value for trial in reopen().trials]


def test_the_trial_of_a_living_process_is_left_alone():
    shared = reopen()
    shared.claim(10)
    assert reopen().bury_the_dead() == []


def test_an_id_that_was_given_out_again_is_not_its_first_owner():
    me = owner.this_process()
    assert not owner.is_gone(me)
    assert owner.is_gone(me | {"started": float(me["started"]) - 1000})
    assert not owner.is_gone(me | {"host": "elsewhere", "pid": 2**22 + 1})


def test_processes_that_claim_at_once_get_different_slots():
    script = textwrap.dedent(
        """
        import sys
        sys.path.insert(0, sys.argv[1])
        from test_study import reopen, run_all
        run_all(reopen(), 20)
        """
    )
    reopen()
    command = [sys.executable, "-c", script, str(Path(__file__).parent)]
    workers = [subprocess.Popen(command) for _ in range(3)]
    assert [worker.wait() for worker in workers] == [0, 0, 0]
    slots = [trial.user_attrs["claim"]["slot"] for trial in reopen().trials]
    assert slots == list(range(20))


@pytest.mark.parametrize("key", ["corpus_digest", "protocol", "objective", "epochs", "seed"])
def test_trials_that_cannot_be_compared_are_not_mixed(key):
    reopen()
    other = SETTING.__dict__ | {key: 99 if key in ("epochs", "seed") else "other"}
    with pytest.raises(StudyError, match="name another with --study"):
        reopen(Setting(**other))


@pytest.mark.parametrize("tail", [b'{"op_code": 4, "wor', b"\x00\xff" * 5000])
def test_a_torn_last_line_of_the_journal_is_dropped(tail, tmp_path):
    run_all(reopen(), 3)
    journal = tmp_path / "mlruns" / "studies.journal"
    whole = journal.read_bytes()
    journal.write_bytes(whole + tail)
    shared = reopen()
    assert len(shared.trials) == 3
    run_all(shared, 4)
    assert journal.read_bytes().startswith(whole)
    assert len(reopen().trials) == 4


@pytest.mark.parametrize("content", [b"a shopping list", b"SQLite format 3\0", b"{}\nx"])
def test_a_file_that_is_no_journal_is_left_as_it_is(content, tmp_path):
    path = tmp_path / "notes.txt"
    path.write_bytes(content)
    with pytest.raises(StudyError, match="is no journal"):
        open_storage(str(path))
    assert path.read_bytes() == content


def test_a_claim_that_dies_before_it_is_made_leaves_nothing_to_the_next_slot():
    shared = reopen()
    run_all(shared, 1)
    assert [trial.state for trial in shared.study.trials] == [TrialState.COMPLETE]
    assert shared.study.get_trials(states=(TrialState.WAITING,)) == []


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("postgresql://ann:secret@127.0.0.1:1/x", "--storage"),
        ("nonsense://x", "does not answer"),
        ("sqlite:////proc/nowhere/x.db", "does not answer"),
        ("/proc/nowhere/x.journal", "cannot be used to keep studies"),
    ],
)
def test_a_storage_that_does_not_answer_is_one_line(url, words):
    with pytest.raises(StudyError) as error:
        open_storage(url)
    text = str(error.value)
    assert words in text
    assert "\n" not in text
    assert "secret" not in text


def test_a_database_keeps_studies_as_well(tmp_path):
    url = f"sqlite:///{tmp_path}/studies.db"
    run_all(reopen(storage=url), 3)
    assert len(reopen(storage=url).trials) == 3


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("median", PatientMedian),
        ("hyperband", optuna.pruners.HyperbandPruner),
        ("none", optuna.pruners.NopPruner),
    ],
)
def test_pruners_and_samplers_go_by_name(name, kind):
    assert isinstance(make_pruner(name, 30), kind)
    assert isinstance(make_sampler("tpe", 0), optuna.samplers.TPESampler)
    assert isinstance(make_sampler("random", 0), optuna.samplers.RandomSampler)


def test_a_choice_that_is_taken_from_one_architectures_parameter_is_told_with_what_to_do():
    widths = [1, 2, 3]

    def suggest(trial):
        kind = trial.suggest_categorical("kind", ["a", "b"])
        trial.suggest_categorical(f"{kind}.width", widths)

    shared = reopen(first=())
    while claim := shared.claim(24):
        suggest(claim.trial)
        shared.study.tell(claim.trial, float(claim.slot))
    shared = reopen(first=())
    runner = TrialRunner(shared, experiment=None, suggest=suggest, record=None, watcher=None)
    widths.remove(3)
    with pytest.raises(StudyError, match="not the one that study 's' was begun with.*--study"):
        runner.draw(shared.claim(25))
