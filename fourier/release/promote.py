"""From a study's best trials to the champion, or to the reason why not.

The order matters. Everything up to the winner is decided by validation alone. Then the run of the
promotion is made, the winner is exported and checked, and only then the test part is opened, for
it and for the champion on the same clips. All evidence is in the run before the registry hears of
anything, and the registry's part happens as a whole or not at all. Not here: what stands in the
way (`fourier.release.plan`), and what is printed.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from filelock import FileLock, Timeout

from fourier.digest import digest_of
from fourier.errors import ReleaseError
from fourier.release.card import Facts, write_card
from fourier.release.confirm import Attempt, Audience, Confirmed, confirm, pick_winner
from fourier.release.decision import Decision, decide
from fourier.release.evidence import log_curves, write_evidence
from fourier.release.export import (
    Program,
    build_clip_model,
    check_export,
    describe_program,
    export_program,
    load_program,
    precision_of,
)
from fourier.release.heldout import HeldOut, open_held_out
from fourier.release.packaging import log_exported
from fourier.release.plan import Champion, Plan
from fourier.release.registry import CHAMPION, KEY, Version, registry_errors
from fourier.release.statistics import Comparison, compare
from fourier.search.storage import RESULTS
from fourier.tracking import TrackedRun, scratch_folder
from fourier.training import Experiment, Task

CHECKED_CLIPS = 64
BATCH_CLIPS = 32
FULL_SCALE = np.float32(32768)
SMALLEST_PROBABILITY = 1e-30  # its logarithm is finite in float32


@dataclass(frozen=True, eq=False)
class Promotion:
    """What a promotion came to.

    Attributes:
        confirmed: the candidates with their seeds.
        winner: the one with the best mean.
        comparison: figures on the test part.
        decision: what follows from them.
        version: in the registry.
        run: where the evidence is.
        difference: of the exported program from the training path, at most.
    """

    confirmed: list[Confirmed]
    winner: Confirmed
    comparison: Comparison
    decision: Decision
    version: Version
    run: TrackedRun
    difference: float


def promote(plan: Plan, audience: Audience) -> Promotion:
    """Confirm, measure, decide and register.

    Args:
        plan: from `plan_promotion`.
        audience: is told of every epoch, and may raise to stop.

    Raises:
        ReleaseError: another promotion of the model is at it, no candidate is sound, the export
            differs from the training, or the registry does not take it. The registry is then as
            it was.
        TrackingError: the run cannot be written.
    """
    RESULTS.mkdir(exist_ok=True)
    lock = FileLock(RESULTS / f".promote-{digest_of(plan.model)}.lock", timeout=0)
    try:
        held = lock.acquire()
    except Timeout:
        raise ReleaseError(
            f"another promotion of {plan.model} runs here; wait until it has ended"
        ) from None
    with held:
        setting = plan.record.shared.setting
        confirmed = confirm(plan.experiment, setting, plan.candidates, plan.seeds, audience)
        winner = pick_winner(confirmed)
        audience.stage("measuring and exporting")
        run = plan.record.open_promotion(_run_tags(plan, winner))
        try:
            promotion = _carry_out(plan, confirmed, winner, run)
        except BaseException as error:
            tags = {"fourier.state": "failed", "fourier.reason": _first_line(error)}
            run.break_off("FAILED" if isinstance(error, Exception) else "KILLED", tags)
            raise
        run.end()
    return promotion


def finish_interrupted(plan: Plan) -> Version | None:
    """Finish the aliases of a version whose promotion was cut off; None if there is none such."""
    version = plan.before
    if version is None or version.settled:
        return None
    return plan.registry.settle(version, champion=version.tags.get("fourier.moves") == "true")


def answers_of(
    program: Program, experiment: Experiment, rows: npt.NDArray[np.int64]
) -> npt.NDArray[np.float32]:
    """What a program answers for stored clips, from their waveforms.

    Returns:
        Probabilities [n, classes] or numbers [n, dimensions].
    """
    blocks = []
    for start in range(0, len(rows), BATCH_CLIPS):
        part = rows[start : start + BATCH_CLIPS]
        clips = np.concatenate([experiment.pcm.read(row, row + 1) for row in part.tolist()])
        blocks.append(program.predict(clips.astype(np.float32) / FULL_SCALE))
    return np.concatenate(blocks)


def as_outputs(task: Task, answers: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Answers as `Task.evaluate` takes them: probabilities become logits."""
    return np.log(np.maximum(answers, SMALLEST_PROBABILITY)) if task.classes else answers


def _carry_out(
    plan: Plan, confirmed: list[Confirmed], winner: Confirmed, run: TrackedRun
) -> Promotion:
    """Everything after the winner is known, inside the promotion's run."""
    experiment, released = plan.experiment, winner.median
    log_curves(run, released)
    with scratch_folder() as folder:
        path = folder / "model.pt2"
        program, difference = _export(experiment, released, path)
        held_out = open_held_out(experiment, run, plan.record.parent)
        answers = answers_of(program, experiment, held_out.rows)
        theirs = None
        if plan.champion is not None:
            theirs = answers_of(plan.champion.program, experiment, held_out.rows)
        comparison = _compare(experiment.task, answers, theirs, held_out)
        decision = decide(comparison, str(plan.champion.version) if plan.champion else "")
        facts = _facts(plan, winner, comparison, decision, held_out, run)
        write_evidence(run, facts, confirmed, held_out, answers, theirs, decision.moves)
        version = _register(plan, facts, decision, run, path)
    return Promotion(confirmed, winner, comparison, decision, version, run, difference)


def _export(experiment: Experiment, released: Attempt, path: Path) -> tuple[Program, float]:
    """Write the program, read it back, and hold it against the training on validation clips."""
    config, state = released.config, released.network.state
    corpus = experiment.corpus
    model = build_clip_model(
        config,
        state,
        sample_rate=corpus.sample_rate,
        samples=corpus.samples_per_clip,
        outputs=experiment.task.outputs,
        classification=bool(corpus.classes),
        precision=precision_of(experiment, config),
    )
    metadata = describe_program(experiment, config)
    export_program(model, path, samples=corpus.samples_per_clip, metadata=metadata)
    program = load_program(path)
    valid = experiment.split.valid.cpu()
    spread = np.linspace(0, len(valid) - 1, min(CHECKED_CLIPS, len(valid))).round().astype(int)
    rows = valid[torch.from_numpy(spread)]
    return program, check_export(program, experiment, config, state, rows)


def _compare(
    task: Task,
    answers: npt.NDArray[np.float32],
    theirs: npt.NDArray[np.float32] | None,
    held_out: HeldOut,
) -> Comparison:
    others = None if theirs is None else as_outputs(task, theirs)
    return compare(task, as_outputs(task, answers), others, held_out.targets, held_out.tracks)


def _facts(
    plan: Plan,
    winner: Confirmed,
    comparison: Comparison,
    decision: Decision,
    held_out: HeldOut,
    run: TrackedRun,
) -> Facts:
    shared = plan.record.shared
    return Facts(
        model=plan.model,
        experiment=plan.experiment,
        study=shared.name,
        study_run=plan.record.parent.id,
        promotion_run=run.id,
        winner=winner,
        released=winner.median,
        comparison=comparison,
        opened=held_out.opened,
        openings=plan.openings,
        champion=_name(plan.champion),
        decision=decision.reason,
        baselines=shared.study.user_attrs.get("baselines", {}),
    )


def _register(plan: Plan, facts: Facts, decision: Decision, run: TrackedRun, path: Path) -> Version:
    tags = _version_tags(plan, facts, decision)
    with registry_errors(plan.registry.tracker, f"{plan.model} could not be logged"):
        model_id = log_exported(run, path)
    version = plan.registry.register(
        plan.model,
        source=f"models:/{model_id}",
        run_id=run.id,
        model_id=model_id,
        tags=tags,
        description=write_card(facts, full=False),
        champion=decision.moves,
        succeeded=_succession_tags(facts, run),
    )
    state = "champion" if CHAMPION in version.aliases else "registered"
    run.set_tags({"fourier.state": state, "fourier.version": str(version.number)})
    return version


def _run_tags(plan: Plan, winner: Confirmed) -> dict[str, str]:
    return {
        KEY: plan.key,
        "fourier.model": plan.model,
        "fourier.trial": str(winner.candidate.trial),
        "fourier.trial_run": winner.candidate.run_id,
        "fourier.champion_before": _name(plan.champion),
        "fourier.state": "running",
    }


def _version_tags(plan: Plan, facts: Facts, decision: Decision) -> dict[str, str]:
    """Where a version comes from, and its figures."""
    setting = plan.record.shared.setting
    tags = {
        KEY: plan.key,
        "fourier.moves": str(decision.moves).lower(),
        "fourier.decision": decision.reason,
        "fourier.task": setting.task,
        "fourier.corpus": setting.corpus,
        "fourier.corpus_digest": setting.corpus_digest,
        "fourier.protocol": setting.protocol,
        "fourier.objective": setting.objective,
        "fourier.study": facts.study,
        "fourier.trial": str(facts.winner.candidate.trial),
        "fourier.trial_run": facts.winner.candidate.run_id,
        "fourier.study_run": facts.study_run,
        "fourier.test_opened": facts.opened,
        "fourier.test_tracks": str(facts.comparison.tracks),
        "fourier.settings": facts.released.config.describe(),
    }
    if facts.comparison.gain is not None:
        tags |= {"fourier.gain": str(facts.comparison.gain), "fourier.gain_over": facts.champion}
    return tags | {f"test/{name}": str(each) for name, each in facts.comparison.winner.items()}


def _succession_tags(facts: Facts, run: TrackedRun) -> dict[str, str]:
    """What a dethroned champion is told: by whose promotion, and how it did on the same clips."""
    figures = {
        f"fourier.succeeded/test/{name}": str(each)
        for name, each in facts.comparison.champion.items()
    }
    return {"fourier.succeeded_in": run.id, "fourier.succeeded_at": facts.opened} | figures


def _name(champion: Champion | None) -> str:
    return str(champion.version) if champion else ""


def _first_line(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}".partition("\n")[0]
