"""What stands before and after the trials: the plan, and what came out of it."""

from typing import TYPE_CHECKING

from rich.console import Console

from fourier.cli.show import print_facts, table_of

if TYPE_CHECKING:
    from fourier.cli.options import SweepOptions
    from fourier.search.sweep import Sweep
    from fourier.training.experiment import Experiment


def print_plan(
    console: Console, experiment: "Experiment", options: "SweepOptions", sweep: "Sweep | None"
) -> None:
    """Say what is about to happen, before it takes its time."""
    from fourier.training import describe_device
    from fourier.training.facts import clips_fact, split_fact

    corpus = experiment.corpus
    if corpus.is_demo:
        console.print(
            "[yellow]Demo corpus[/yellow]: synthesised music, to try things out; "
            "its numbers say nothing about real music. Name yours with --data DIR.",
            soft_wrap=True,
        )
    facts = {
        "corpus": f"{corpus.name} {corpus.digest} in {corpus.root}",
        "clips": clips_fact(experiment),
        "split": split_fact(experiment),
        "copies": copies_fact(experiment),
        "objective": f"{experiment.task.objective} ({experiment.task.direction})",
        "device": describe_device(experiment.store.device),
    }
    left_out = len(experiment.pcm.left_out)
    if left_out:
        facts["left out"] = f"{left_out} files or clips; `fourier check {corpus.root}` lists them"
    if sweep is not None:
        done = len(sweep.shared.finished)
        state = "new" if sweep.shared.is_new else "continued"
        facts["study"] = f"{sweep.shared.name} ({state}), {done} of {options.trials} trials done"
        served = sweep.record.tracker.uri.startswith("http")
        facts["watch"] = "" if served else "type `mlflow ui` here, then "
        facts["watch"] += f"open {sweep.record.link()}"
    print_facts(console, f"fourier · {experiment.task.name}", facts)
    console.print()


def print_summary(console: Console, sweep: "Sweep") -> None:
    """Say what was found: the best trials, the floor, what mattered, and what to type next."""
    from fourier.search.plots import importances
    from fourier.search.sweep import best_trials

    task = sweep.experiment.task
    best = best_trials(sweep.shared, 5)
    if not best:
        console.print("No trial has finished; their tracebacks are in their runs.")
        return
    shown = list(dict.fromkeys((task.objective, *task.display)))
    columns = ["trial", *shown, "settings"]
    rows = []
    for trial in best:
        metrics = trial.user_attrs["metrics"]
        numbers = [f"{metrics[name]:.3f}" for name in shown]
        config = sweep.outcome_of(trial).config
        rows.append([f"{trial.number:04d}", *numbers, config.describe() if config else ""])
    for name, metrics in sweep.baselines.items():
        numbers = [f"{metrics[key]:.3f}" for key in shown]
        rows.append(["", *numbers, f"baseline: {name}"])
    console.print(table_of("The best trials, and what they must beat", columns, rows))
    shares = importances(sweep.shared.study)
    if shares:
        console.print("\n[bold]What mattered[/bold] (share of the objective's variance)")
        for name, share in list(shares.items())[:6]:
            console.print(f"  {name:<16} {share:5.0%}  [blue]{'█' * round(share * 40)}[/blue]")
    console.print("\n[bold]Next[/bold]")
    if not sweep.record.tracker.uri.startswith("http"):
        console.print("  mlflow ui", style="cyan")
    console.print(f"  {sweep.record.link(save=False)}", soft_wrap=True, style="cyan")


def copies_fact(experiment: "Experiment") -> str:
    """What the search for copies found, in a line."""
    from fourier.corpora import PROTOCOLS

    copies, leaks = experiment.copies, experiment.leaks
    found = "1 pair of tracks" if len(copies) == 1 else f"{len(copies)} pairs of tracks"
    if PROTOCOLS[experiment.protocol].leaky:
        besides = f"; copies besides: {found}" if copies else ""
        return f"{experiment.protocol} puts tracks themselves on several sides{besides}"
    if not copies:
        return f"none among {experiment.clips['track'].nunique()} tracks"
    if not leaks:
        return f"{found}, each on one side"
    more = f" and {len(leaks) - 1} more" if len(leaks) > 1 else ""
    return f"{found}, {len(leaks)} across sides, allowed: {leaks[0]}{more}"
