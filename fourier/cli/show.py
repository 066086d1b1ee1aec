"""What a person sees of a sweep: the plan, a bar, a line for each trial, and the summary."""

import io
import operator
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Self

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

from fourier.cli.guard import Interruption
from fourier.config import TrialConfig
from fourier.search.watch import Outcome, Watcher
from fourier.shown import one_line

if TYPE_CHECKING:
    from fourier.training import Task


SILENCE_SECONDS = 30.0


def make_console() -> Console:
    """A console on standard output; wide where nobody looks, so that logs are not folded."""
    if isinstance(sys.stdout, io.TextIOWrapper):  # names of files are bytes, and terminals differ
        sys.stdout.reconfigure(errors="backslashreplace")
    width = None if sys.stdout.isatty() else 160
    return Console(width=width, highlight=False)


def plain(text: object) -> str:
    """A text that came from elsewhere, as it may stand between marked-up words of one line."""
    return escape(one_line(text))


def print_facts(console: Console, title: str, facts: Mapping[str, str]) -> None:
    """A title and aligned lines under it."""
    console.print(f"[bold]{title}[/bold]", soft_wrap=True)
    room = max(map(len, facts))
    for name, fact in facts.items():
        console.print(f"  [dim]{name:<{room}}[/dim]  {plain(fact)}", soft_wrap=True)


def table_of(title: str, columns: Sequence[str], rows: Sequence[Sequence[str | Text]]) -> Table:
    """A plain table; a column is of numbers where its first cell looks like one.

    A cell that is plain text is shown as it is, brackets and all; colours come as `Text`.
    """
    table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False)
    for i, name in enumerate(columns):
        numeric = bool(rows) and str(rows[0][i]).replace(".", "").replace("-", "").isdigit()
        table.add_column(
            name,
            justify="right" if numeric else "left",
            style="" if i else "bold",
            no_wrap=True,
            overflow="ellipsis",
            min_width=0 if i == len(columns) - 1 else _width(name, [row[i] for row in rows]),
        )
    for row in rows:
        table.add_row(*(plain(cell) if isinstance(cell, str) else cell for cell in row))
    return table


def _width(name: str, cells: Sequence[str | Text]) -> int:
    """What a column needs; what does not fit the screen is cut from the last one."""
    return max(map(len, (name, *cells)))


class Screen(Watcher):
    """Shows a sweep as it goes: a bar with the best so far, and a line for each trial."""

    def __init__(self, console: Console, interruption: Interruption, unit: str = "trial") -> None:
        self.console = console
        self.interruption = interruption
        self.unit = unit
        self.better: Callable[[float, float], bool] = operator.gt
        self.objective = "objective"
        self.best: float | None = None
        self.progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=28),
            MofNCompleteColumn(),
            TimeRemainingColumn(compact=True),
            TextColumn("[dim]{task.fields[note]}[/dim]"),
            console=console,
            speed_estimate_period=3600,
            transient=True,
            disable=not console.is_terminal,
        )
        self.trials = TaskID(0)
        self._said = time.monotonic()

    def __enter__(self) -> Self:
        self.progress.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self.progress.stop()

    def stage(self, name: str) -> Callable[[int, int], None]:
        """Show a bar that goes away when its stage is done."""
        task = self.progress.add_task(name, total=None, note="")

        def update(done: int, total: int) -> None:
            self.progress.update(task, completed=done, total=total, visible=done < total)
            if done < total:
                self.waits(f"{name}: {done} of {total}")

        return update

    def waits(self, news: str) -> None:
        """Say in a log, where no bar moves, how far things are, after half a minute of silence."""
        if not self.console.is_terminal and time.monotonic() - self._said >= SILENCE_SECONDS:
            self._said = time.monotonic()
            self.console.print(f"  … {plain(news)}", soft_wrap=True)

    def begin_trials(self, done: int, total: int, best: float | None, task: "Task") -> None:
        """Show the bar of the trials."""
        self.better = operator.gt if task.direction == "maximize" else operator.lt
        self.objective = task.objective
        for bar in self.progress.task_ids:
            self.progress.remove_task(bar)
        self.best = best
        self.trials = self.progress.add_task(f"{self.unit}s", completed=done, total=total, note="")

    def epoch_ends(self, slot: int, epoch: int, epochs: int, metrics: Mapping[str, float]) -> None:
        """Show how far the running trial is; the place where an interruption is noticed."""
        self.interruption.check()
        best = "" if self.best is None else f" · best {self.best:.3f}"
        value = f"{self.objective} {metrics[self.objective]:.3f}"
        note = f"{self.unit} {slot}: epoch {epoch + 1}/{epochs}, {value}{best}"
        self.progress.update(self.trials, note=note)
        self.waits(note)

    def trial_begins(self, slot: int, config: TrialConfig) -> None:
        """Notice an interruption that came between two trials."""
        del slot, config
        self.interruption.check()

    def trial_ends(self, outcome: Outcome) -> None:
        """Leave one line for a trial that ended."""
        self._said = time.monotonic()
        self.progress.update(self.trials, advance=1)
        if outcome.config is None or outcome.value is None:
            self.console.print(
                f"  trial {outcome.number:04d}  [red]failed[/red]  {plain(outcome.reason)}"
            )
            return
        value = outcome.metrics[self.objective]
        is_best = outcome.state == "complete" and (
            self.best is None or self.better(value, self.best)
        )
        if is_best:
            self.best = value
        mark = {"pruned": "[dim]pruned[/dim]"}.get(outcome.state, "")
        mark = "[green]best[/green]" if is_best else mark
        settings = outcome.config.describe()
        self.console.print(
            f"  trial {outcome.number:04d}  {self.objective} {outcome.metrics[self.objective]:6.3f}"
            f"  {outcome.seconds:5.1f} s  "
            f"{mark:<6} [dim]{settings}[/dim]",
            soft_wrap=True,
        )


class Worker(Watcher):
    """Shows nothing; only notices an interruption, or that its leader is gone."""

    def __init__(self, interruption: Interruption, leader: int) -> None:
        self.interruption = interruption
        self._leader = leader

    def trial_begins(self, slot: int, config: TrialConfig) -> None:
        """Notice an interruption that came between two trials."""
        del slot, config
        self._check()

    def epoch_ends(self, slot: int, epoch: int, epochs: int, metrics: Mapping[str, float]) -> None:
        """Notice an interruption."""
        del slot, epoch, epochs, metrics
        self._check()

    def _check(self) -> None:
        self.interruption.check()
        if os.getppid() != self._leader:
            raise KeyboardInterrupt
