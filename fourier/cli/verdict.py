"""What a person sees of a promotion: the plan, each training, the figures and what followed."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from fourier.cli.guard import Interruption
from fourier.cli.show import Screen, print_facts, table_of
from fourier.release.confirm import Attempt, Audience, Candidate

if TYPE_CHECKING:
    from fourier.release.plan import Plan
    from fourier.release.promote import Promotion
    from fourier.release.registry import Version
    from fourier.release.reproduce import Reproduction, StoredRun


class PromotionScreen(Screen, Audience):
    """Shows a confirmation as it goes: a bar, and a line for each training."""

    def __init__(self, console: Console, interruption: Interruption) -> None:
        super().__init__(console, interruption)
        self.seeds = 1

    def begin(self, candidates: int, seeds: int) -> None:
        """Show the bar of the trainings."""
        self.seeds = seeds
        for task in self.progress.task_ids:
            self.progress.remove_task(task)
        self.trials = self.progress.add_task("trainings", total=candidates * seeds, note="")

    def epoch_ends(self, slot: int, epoch: int, epochs: int, metrics: Mapping[str, float]) -> None:
        """Show how far the training is; the place where an interruption is noticed."""
        self.interruption.check()
        note = f"trial {slot}: epoch {epoch + 1}/{epochs}, {metrics['objective']:.3f}"
        self.progress.update(self.trials, note=note)
        self.waits(note)

    def attempt_ends(self, candidate: Candidate, index: int, attempt: Attempt) -> None:
        """Leave one line for a training that ended."""
        self.progress.update(self.trials, advance=1)
        outcome = f"[red]diverged[/red]  {attempt.reason}"
        if attempt.result is not None:
            result = attempt.result
            outcome = f"objective {result.metrics['objective']:7.4f}  {result.seconds:5.1f} s"
        self.console.print(
            f"  trial {candidate.trial:04d}  seed {index + 1}/{self.seeds}  {outcome}",
            soft_wrap=True,
        )


def print_plan(console: Console, plan: "Plan") -> None:
    """Say what is about to happen."""
    from fourier.cli.summary import copies_fact
    from fourier.training import describe_device

    experiment, shared = plan.experiment, plan.record.shared
    corpus = experiment.corpus
    if corpus.name.endswith("-demo"):
        console.print(
            "[yellow]Demo corpus[/yellow]: its numbers say nothing about real music.",
            soft_wrap=True,
        )
    times = {0: "never opened before", 1: "opened once before"}
    opened = times.get(plan.openings, f"opened {plan.openings} times before")
    finished = _count(len(shared.finished), "trial")
    again = f"{_count(len(plan.candidates), 'trial')} with {_count(plan.seeds, 'seed')} each"
    facts = {
        "study": f"{shared.name}, {finished} by {experiment.task.objective}",
        "corpus": f"{corpus.name} {corpus.digest} in {corpus.root}, split by {experiment.protocol}",
        "copies": copies_fact(experiment),
        "train again": again,
        "test part": f"{plan.test_tracks} tracks, {opened}",
        "champion": f"{plan.champion.version}" if plan.champion else "none yet",
        "register as": plan.model,
        "device": describe_device(experiment.store.device),
    }
    if plan.before is not None:
        del facts["champion"]
    print_facts(console, f"fourier promote · {experiment.task.name}", facts)
    rows = [
        [f"{each.trial:04d}", f"{each.objective:.4f}", each.config.describe()]
        for each in plan.candidates
    ]
    console.print()
    console.print(
        table_of("The best trials by validation", ["trial", "objective", "settings"], rows)
    )
    console.print()


def print_promotion(console: Console, plan: "Plan", promotion: "Promotion") -> None:
    """Say what was found, what was decided and why, and what to type next."""
    from fourier.release.card import spread

    task = plan.experiment.task
    shown = list(dict.fromkeys((task.objective, *task.display)))
    rows: list[list[str | Text]] = [
        [
            f"{each.candidate.trial:04d}",
            *(spread(each, name) for name in shown),
            _remark(each.diverged, each is promotion.winner),
        ]
        for each in promotion.confirmed
    ]
    title = f"Validation with {_count(plan.seeds, 'new seed')}: mean ± standard deviation"
    console.print()
    console.print(table_of(title, ["trial", *shown, ""], rows))
    console.print()
    comparison = promotion.comparison
    columns = ["model", *shown]
    figures = [["the winner", *(str(comparison.winner[name]) for name in shown)]]
    if comparison.champion:
        name = str(plan.champion.version) if plan.champion else ""
        figures.append([name, *(str(comparison.champion[each]) for each in shown)])
    title = f"The test part, {comparison.tracks} tracks, with 95 % intervals"
    console.print(table_of(title, columns, figures))
    console.print()
    version, decision = promotion.version, promotion.decision
    word = "[green]champion[/green]" if decision.moves else "[yellow]not champion[/yellow]"
    console.print(f"{version} is {word}: {decision.reason}.", soft_wrap=True)
    console.print(
        f"The program equals the training to {promotion.difference:.1e}; the evidence is in run "
        f"{promotion.run.id}.",
        soft_wrap=True,
    )
    console.print("\n[bold]Next[/bold]")
    for command in _next(plan, version, decision.moves):
        console.print(f"  {command}", soft_wrap=True, style="cyan")


def print_models(console: Console, versions: "Sequence[Version]") -> None:
    """A line for each version: aliases, figures, where it comes from."""
    if not versions:
        console.print("No model is registered yet; run a sweep, then `fourier promote deam`.")
        return
    rows = [
        [
            version.model,
            str(version.number),
            ", ".join(version.aliases),
            _figure(version),
            _origin(version),
            version.created,
        ]
        for version in versions
    ]
    columns = ["model", "version", "alias", "test part, 95 % interval", "from", "registered"]
    console.print(table_of("Registered models", columns, rows))


def print_reproduction(console: Console, stored: "StoredRun", reproduction: "Reproduction") -> None:
    """Both sides of each metric, and whether they are the same."""
    different = set(reproduction.different)
    rows = [
        [
            name,
            _number(reproduction.stored.get(name)),
            _number(reproduction.again.get(name)),
            "differs" if name in different else "",
        ]
        for name in sorted(reproduction.stored.keys() | reproduction.again.keys())
    ]
    console.print(table_of(f"Run {stored.id}", ["metric", "stored", "now", ""], rows))
    for name, reason in stored.damaged.items():
        console.print(f"[red]Damaged[/red]: its file {name} ({reason}).", soft_wrap=True)
    if not different:
        console.print("\n[green]Reproduced[/green]: every metric is the same.")
        return
    where = ""
    if reproduction.was_on and reproduction.was_on != reproduction.is_on:
        where = (
            f" It was trained on {reproduction.was_on} and now on {reproduction.is_on}; only the "
            "same device gives the same metrics."
        )
    console.print(
        f"\n[red]Not reproduced[/red]: {len(different)} of {len(rows)} metrics differ.{where}",
        soft_wrap=True,
    )


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" + "s" * (number != 1)


def _remark(diverged: int, wins: bool) -> Text:
    if diverged:
        return Text(f"{diverged} diverged", "red")
    return Text("winner" if wins else "", "green")


def _next(plan: "Plan", version: "Version", moves: bool) -> list[str]:
    from fourier.corpora import KINDS
    from fourier.tracking import version_link

    corpus = plan.experiment.corpus
    name = corpus.name if corpus.task in KINDS else corpus.task
    address = f"models:/{plan.model}@champion" if moves else version.uri
    named = f"--task {name}" if moves and not corpus.is_demo else f"--model {address}"
    tracker = plan.record.tracker
    look = [] if tracker.uri.startswith("http") else ["mlflow ui"]
    undo = [f"fourier rollback {plan.experiment.corpus.name}"] if moves and plan.champion else []
    return [
        *look,
        version_link(tracker, version.model, version.number),
        f"fourier predict song.mp3 {named}",
        f"mlflow models serve -m {address} --env-manager local --port 5001",
        *(undo or ["fourier models"]),
    ]


def _figure(version: "Version") -> str:
    objective = version.tags.get("fourier.objective", "")
    figure = version.tags.get(f"test/{objective}", "")
    return f"{objective} {figure}".strip()


def _origin(version: "Version") -> str:
    tags = version.tags
    if "fourier.study" not in tags:
        return "registered by hand"
    return f"{tags['fourier.study']} trial {tags.get('fourier.trial', '?')}"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.9g}"
