"""What a promotion would do, found out before anything is trained or opened.

Everything that can be known to stand in the way is said here, in one line: a corpus other than the
study's, no finished trial, a test part too small to decide by, a champion that answers another
question or may have learned this test part. Not here: doing it (`fourier.release.promote`).
"""

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from fourier.corpora import PROTOCOLS, Corpus
from fourier.digest import digest_of
from fourier.errors import ReleaseError
from fourier.release.commands import promote_command, sweep_command
from fourier.release.confirm import Candidate, find_candidates
from fourier.release.decision import LEAST_TRACKS
from fourier.release.export import Program, load_program
from fourier.release.heldout import count_openings, count_test_tracks
from fourier.release.packaging import PROGRAM_FILE
from fourier.release.registry import Registry, Version, model_name, registry_errors
from fourier.search.record import StudyRecord
from fourier.search.storage import RESULTS, open_storage
from fourier.search.study import Setting, SharedStudy, find_study, list_studies
from fourier.search.watch import Watcher
from fourier.tracking import Tracker
from fourier.training import Experiment


@dataclass(frozen=True, eq=False)
class Champion:
    """The reigning model.

    Attributes:
        version: in the registry.
        program: as it was exported.
    """

    version: Version
    program: Program


@dataclass(frozen=True, eq=False)
class Plan:
    """A promotion that can be carried out.

    Attributes:
        record: the study and its runs, with the experiment.
        registry: where models are.
        model: name of the registered model.
        candidates: trials to train again, best first.
        seeds: how often.
        champion: who is to be beaten; None if nobody.
        test_tracks: in the test part.
        openings: how often that part was opened before.
        key: names this choice of trials and seeds.
        before: the version that was made from exactly this; None if there is none.
    """

    record: StudyRecord
    registry: Registry
    model: str
    candidates: list[Candidate]
    seeds: int
    champion: Champion | None
    test_tracks: int
    openings: int
    key: str
    before: Version | None

    @property
    def experiment(self) -> Experiment:
        """Corpus, split and device."""
        return self.record.experiment


def choose_study(task: str, corpus: str, name: str | None, storage: str | None) -> SharedStudy:
    """The study to promote from.

    Args:
        task: ``deam``, ``gtzan``, or the kind of a labelled folder.
        corpus: name of the corpus that is at hand.
        name: of the study; None takes the one that is named after the corpus, or the only one
            that was run on it.
        storage: as a sweep's.

    Raises:
        StudyError: there is no study of that name, or the storage does not answer.
        ReleaseError: it is of another task, or nothing says which is meant.
    """
    if storage is None and not (RESULTS / "studies.journal").exists():
        raise ReleaseError(
            f"no sweep was run here yet; run {sweep_command(task)}, or go to the folder where "
            "one was"
        )
    opened = open_storage(storage)
    name = name or _usual_study(task, corpus, list_studies(opened))
    shared = find_study(name, opened)
    if shared.setting.task != task:
        raise ReleaseError(
            f"study {name!r} is of task {shared.setting.task}, not {task}; name another with "
            f"--study, or type {promote_command(shared.setting.task)}"
        )
    return shared


def open_study_experiment(
    shared: SharedStudy,
    corpus: Corpus,
    cache: Path,
    device: torch.device,
    watcher: Watcher,
    jobs: int = -1,
    *,
    allow_leaks: bool = False,
) -> Experiment:
    """The experiment of a study, on a corpus that must be the same.

    Raises:
        ReleaseError: the corpus is another, or the protocol has no test part.
        LeakError: copies of one recording stand on several sides, and that is not allowed.
    """
    setting = shared.setting
    if setting.protocol in PROTOCOLS and PROTOCOLS[setting.protocol].folds_only:
        raise ReleaseError(
            f"study {shared.name!r} was run under protocol {setting.protocol}, which has no test "
            "part to decide by; sweep again with another --protocol"
        )
    require_corpus(corpus, setting.corpus, setting.corpus_digest, f"study {shared.name!r}")
    return Experiment.open(
        corpus,
        protocol=setting.protocol,
        objective=setting.objective,
        cache=cache,
        device=device,
        jobs=jobs,
        stage=watcher.stage,
        allow_leaks=allow_leaks,
    )


def require_corpus(corpus: Corpus, name: str, digest: str, whose: str) -> None:
    """Raise ReleaseError unless a corpus is the very one that something was made with.

    Args:
        corpus: what is there.
        name: what it was called.
        digest: its identity.
        whose: how the message begins: "study 'gtzan'", "run 0123…".
    """
    if corpus.digest != digest:
        raise ReleaseError(
            f"{whose} was made with corpus {name} {digest}, and {corpus.root} holds "
            f"{corpus.name} {corpus.digest}; name the folder of the former with --data"
        )


def plan_promotion(
    tracker: Tracker,
    shared: SharedStudy,
    experiment: Experiment,
    *,
    top: int,
    seeds: int,
    force: bool = False,
) -> Plan:
    """Find out what a promotion would do; trains, opens and writes nothing.

    Args:
        tracker: where the study's runs are.
        shared: the study.
        experiment: its corpus under its protocol and objective.
        top: how many of its trials are trained again.
        seeds: how often each.
        force: go on although the test part is small, or known to the champion.

    Raises:
        ReleaseError: something stands in the way.
        TrackingError: the registry does not answer.
    """
    registry = Registry.connect(tracker)
    model = model_name(experiment.corpus.name)
    record = StudyRecord.find(tracker, shared, experiment)
    candidates = find_candidates(tracker, shared, top)
    key = digest_of(
        {
            "study": [shared.name, shared.setting.__dict__],
            "candidates": [candidate.config.digest for candidate in candidates],
            "seeds": seeds,
        }
    )
    before = registry.with_key(model, key)
    tracks = count_test_tracks(experiment)
    if before is None:
        _require_tracks(experiment, tracks, force)
    champion = None if before else _find_champion(registry, model, experiment, force)
    return Plan(
        record=record,
        registry=registry,
        model=model,
        candidates=candidates,
        seeds=seeds,
        champion=champion,
        test_tracks=tracks,
        openings=count_openings(tracker, record.experiment_id, experiment),
        key=key,
        before=before,
    )


def fetch_program(registry: Registry, version: Version) -> Program:
    """Download a registered model and read its program.

    Raises:
        ReleaseError: its files are gone, or are not a program of this package's.
    """
    from mlflow.artifacts import download_artifacts

    with (
        tempfile.TemporaryDirectory() as folder,
        registry_errors(registry.tracker, f"the files of {version} cannot be read"),
    ):
        path = download_artifacts(
            f"{version.uri}/{PROGRAM_FILE}", dst_path=folder, tracking_uri=registry.tracker.uri
        )
        return load_program(Path(path))


def _usual_study(task: str, corpus: str, studies: Mapping[str, Setting]) -> str:
    """The study that is named after the corpus, or the only one that was run on it."""
    mine = [name for name, setting in studies.items() if setting.corpus == corpus]
    if corpus in mine or len(mine) == 1:
        return corpus if corpus in mine else mine[0]
    if mine:
        raise ReleaseError(
            f"several studies were run on {corpus}; name one of {', '.join(mine)} with --study"
        )
    others = [f"{name} (on {of.corpus})" for name, of in studies.items() if of.task == task]
    if others:
        raise ReleaseError(
            f"no study was run on {corpus}; there are {', '.join(others)}: name the folder of its "
            "corpus with --data"
        )
    raise ReleaseError(f"no study of {task} was run here yet; run {sweep_command(task)}")


def _require_tracks(experiment: Experiment, tracks: int, force: bool) -> None:
    where = (
        f"protocol {experiment.protocol} leaves {tracks} test tracks of {experiment.corpus.name}"
    )
    if tracks == 0:
        raise ReleaseError(
            f"{where}, so nothing can be measured; sweep again with another --protocol"
        )
    if tracks < LEAST_TRACKS and not force:
        raise ReleaseError(
            f"{where}, too few for an interval ({LEAST_TRACKS} at least); sweep a larger corpus or "
            "another --protocol, or add --force to decide by them all the same"
        )


def _find_champion(
    registry: Registry, model: str, experiment: Experiment, force: bool
) -> Champion | None:
    version = registry.champion(model)
    if version is None:
        return None
    program, corpus = fetch_program(registry, version), experiment.corpus
    about = program.metadata
    answers = {
        "task": (program.task, corpus.task),
        "classes": (program.classes, corpus.classes),
        "targets": (program.targets, corpus.targets),
        "sample rate": (program.sample_rate, corpus.sample_rate),
        "samples in a clip": (program.samples, corpus.samples_per_clip),
    }
    for name, (its, ours) in answers.items():
        if its != ours:
            raise ReleaseError(
                f"the champion {version} cannot be compared: its {name} is {its}, not {ours}; take "
                f"its alias away in `mlflow ui` (Models, {model})"
            )
    learned = (about["corpus"]["digest"], about["protocol"])
    if learned != (corpus.digest, experiment.protocol) and not force:
        raise ReleaseError(
            f"the champion {version} was trained on {about['corpus']['name']} {learned[0]} by "
            f"{learned[1]}, not on {corpus.digest} by {experiment.protocol}, and may know this "
            "test part; add --force to compare all the same"
        )
    return Champion(version, program)
