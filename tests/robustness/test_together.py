"""Several people, or one in several terminals, at the same time: real processes on one machine."""

import contextlib
import json
import os
import runpy
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from optuna.trial import TrialState

from fourier.cli.main import main
from fourier.features.cache import default_cache
from fourier.search.storage import open_storage, study_lock
from fourier.search.study import find_study
from fourier.tracking import Tracker, find_damaged

from .conftest import STUDY, Place, write_space

CROWD = Path(__file__).with_name("crowd.py")


def run_at_once(here, variables, *commands):
    """Exit codes and errors of commands, each (folder, argv)."""
    given = json.dumps([[str(folder), [*map(str, argv)]] for folder, argv in commands])
    ran = subprocess.run(
        [sys.executable, CROWD, here],
        input=given,
        env=variables,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


def check_study(storage, trials):
    """Each trial ended once, and has one run, finished, with all its files as they were written."""
    shared = find_study(STUDY, open_storage(storage))
    slots = [trial.user_attrs["claim"]["slot"] for trial in shared.trials]
    assert slots == list(range(trials))
    assert {trial.state for trial in shared.trials} == {TrialState.COMPLETE}
    tracker = Tracker.connect()
    experiment = tracker.client.get_experiment_by_name("gtzan").experiment_id
    runs = tracker.find_runs(experiment, {"fourier.kind": "trial"})
    assert {run.info.status for run in runs} == {"FINISHED"}
    assert sorted(run.info.run_id for run in runs) == sorted(
        trial.user_attrs["run_id"] for trial in shared.trials
    )
    for run in runs:
        assert find_damaged(Path(run.info.artifact_uri.removeprefix("file://"))) == {}
    studies = tracker.find_runs(experiment, {"fourier.kind": "study"})
    assert len(studies) == 1
    return shared


def no_debris(cache):
    assert [path for path in cache.rglob("*") if path.suffix == ".tmp"] == []
    assert len([path for path in cache.glob("features/*/*.npy") if path.name[0] != "."]) == 1
    assert len([path for path in cache.glob("pcm/*/*.int16") if path.name[0] != "."]) == 1


@pytest.mark.slow
def test_two_sweeps_over_one_cache_corpus_and_study_share_its_trials(
    workplace, own_cache, tiny_gtzan, single_threaded
):
    place = Place(workplace, tiny_gtzan, own_cache)
    command = (workplace, [write_space(workplace), *place.words(6)])
    assert run_at_once(workplace, single_threaded, command, command) == [[0, ""]] * 2
    shared = check_study(None, 6)
    owners = {trial.user_attrs["claim"]["owner"]["pid"] for trial in shared.trials}
    assert len(owners) <= 2
    no_debris(own_cache)


@pytest.mark.slow
def test_two_sweeps_in_two_folders_on_one_database_share_its_trials(
    tmp_path, own_cache, tiny_gtzan, empty_tracking_database, single_threaded, monkeypatch
):
    shutil.copy(empty_tracking_database, tmp_path / "mlflow.db")
    runs = f"sqlite:///{tmp_path}/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", runs)
    storage = f"sqlite:///{tmp_path}/studies.db"
    open_storage(storage)  # two that make its tables at once are Optuna's to sort out
    commands = []
    for name in ("ann", "bob"):
        (tmp_path / name).mkdir()
        words = Place(tmp_path / name, tiny_gtzan, own_cache).words(6, "--storage", storage)
        commands.append((tmp_path / name, [write_space(tmp_path / name), *words]))
    variables = single_threaded | {"MLFLOW_TRACKING_URI": runs, "FOURIER_CACHE": str(own_cache)}
    assert run_at_once(tmp_path, variables, *commands) == [[0, ""]] * 2
    check_study(storage, 6)
    no_debris(own_cache)


@pytest.mark.slow
def test_a_sweep_goes_on_while_its_study_is_promoted(searched, single_threaded, tmp_path):
    sweep = [write_space(searched.folder), *searched.words(5)]
    promote = ["promote", "gtzan", *searched.options, "--top", "1", "--seeds", "2", "--yes"]
    answers = run_at_once(
        tmp_path,
        single_threaded,
        (searched.folder, sweep),
        (searched.folder, [*promote, "--force"]),
    )
    assert answers == [[0, ""]] * 2
    check_study(None, 5)
    version = Tracker.connect().client.get_model_version_by_alias("fourier-gtzan", "champion")
    assert int(version.version) == 1


@pytest.mark.parametrize(
    ("here", "there", "same"),
    [
        ("postgresql://ann:1@host/x", "postgresql+psycopg://bob:2@host/x", True),
        ("postgresql://host:5433/x", "postgresql://host/x", False),
        ("postgresql://host/x", "postgresql://host/y", False),
        ("sqlite:///{tmp}/x.db", "sqlite:///../x.db", True),
        ("sqlite:///{tmp}/x.db", "sqlite:///file:{tmp}/x.db?uri=true", True),
        ("sqlite:///x.db", "sqlite:///x.db", False),
        ("mysql://host/x", "postgresql://host/x", False),
    ],
)
def test_whoever_is_on_one_database_finds_one_lock(tmp_path, here, there, same):
    locks = []
    for name, url in (("one", here), ("two", there)):
        (tmp_path / name).mkdir()
        with contextlib.chdir(tmp_path / name):
            locks.append(Path(study_lock("s", url.format(tmp=tmp_path)).lock_file).resolve())
    assert (locks[0] == locks[1]) == same
    assert {path.parent for path in locks} == {(default_cache() / "locks").resolve()}
    assert "ann" not in locks[0].name


def test_studies_of_one_database_do_not_wait_for_one_another(own_cache):
    url = "postgresql://host/x"
    assert study_lock("a", url).lock_file != study_lock("b", url).lock_file


def test_a_lock_excludes_a_process_in_another_folder(tmp_path, own_cache, single_threaded):
    url = f"sqlite:///{tmp_path}/x.db"
    script = """
        import sys
        from filelock import Timeout
        from fourier.search.storage import study_lock
        try:
            with study_lock("s", sys.argv[1]).acquire(timeout=0):
                print("free")
        except Timeout:
            print("taken")
    """
    (tmp_path / "elsewhere").mkdir()

    def ask():
        command = [sys.executable, "-c", textwrap.dedent(script), url]
        where = tmp_path / "elsewhere"
        answer = subprocess.run(
            command, cwd=where, env=single_threaded, capture_output=True, text=True, check=True
        )
        return answer.stdout.strip()

    with study_lock("s", url):
        assert ask() == "taken"
    assert ask() == "free"


@pytest.mark.parametrize("command", ["sweep", "promote", "models", "rollback", "reproduce"])
def test_a_folder_that_may_not_be_written_is_one_line(searched, monkeypatch, capsys, command):
    """Nobody may make anything in /proc, not even root."""
    script = write_space(searched.folder)
    monkeypatch.chdir("/proc")
    if command == "sweep":
        monkeypatch.setattr(sys, "argv", [str(script), *searched.words(1)])
        with pytest.raises(SystemExit) as end:
            runpy.run_path(str(script), run_name="__main__")
        code = end.value.code
    else:
        arguments = {"promote": ["gtzan", *searched.options], "models": []}
        code = main([command, *arguments.get(command, ["gtzan"])])
    assert code == 1
    err = capsys.readouterr().err
    assert err.startswith("error: MLflow at sqlite:")
    assert "; work where you may write" in err
    assert err.count("\n") == 1


EVICT = """
    import os, sys, time
    from pathlib import Path
    import torch
    from fourier.config import SpectrogramConfig
    from fourier.corpora import load_corpus
    from fourier.features.pcm import open_pcm
    from fourier.features.store import FeatureStore

    torch.set_num_threads(1)
    cache, last = Path(sys.argv[2]), time.monotonic() + 60
    pcm = open_pcm(load_corpus(Path(sys.argv[1])), cache, jobs=1)
    configs = [SpectrogramConfig(n_mels=8 + n, n_fft=256, hop_length=256) for n in range(3)]

    def ask(config, budget, sums):
        '''As a trial does that has no features at hand, and reads them epoch by epoch.'''
        store = FeatureStore(pcm, cache, torch.device("cpu"), disk_budget=budget)
        features = store.get(config)
        for _ in range(3):  # between which the entry may be gone
            found = features.float().sum().item()
            assert sums.setdefault(config.n_mels, found) == found
        return store.computed

    sums, enough, other = {}, cache / "enough", os.fork()
    if not other:  # somebody with room for a single entry
        asked = 0
        while asked < 12 or not (enough.exists() or time.monotonic() > last + 60):
            ask(configs[1 + asked % 2], 1, sums)
            asked += 1
        os._exit(0)
    computed, ended = 0, 0
    while not ended:
        computed += ask(configs[0], 1 << 30, sums)
        if computed > 3 or time.monotonic() > last:
            enough.touch()
        ended, status = os.waitpid(other, os.WNOHANG)
    print(f"well: status {status}, evicted {computed > 1}")
"""


def test_what_is_evicted_while_a_trial_reads_it_is_read_to_its_end(
    tiny_gtzan, own_cache, single_threaded
):
    command = [sys.executable, "-c", textwrap.dedent(EVICT), tiny_gtzan, own_cache]
    ran = subprocess.run(command, env=single_threaded, capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout == "well: status 0, evicted True\n"
    assert [path for path in own_cache.rglob("*.tmp") if os.path.lexists(path)] == []
