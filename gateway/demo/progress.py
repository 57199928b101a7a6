"""What the demo says while it works: bars on a terminal, plain lines anywhere else.

Knows how progress looks. Does not know what is being done.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

_QUARTERS = 4


class Steps:
    """A numbered row of steps."""

    def __init__(self, console: Console, count: int) -> None:
        self._console, self._count, self._at = console, count, 0

    @contextmanager
    def step(self, title: str, total: int | None = None) -> Iterator[Callable[[], None]]:
        """One step; the function that it gives is to be called after each of ``total`` parts."""
        self._at += 1
        label = f"[{self._at}/{self._count}] {title}"
        started = time.monotonic()
        with (self._bar if self._console.is_terminal else self._lines)(label, total) as advance:
            yield advance
        self._say(f"{label}: {time.monotonic() - started:.1f} s")

    def note(self, text: str) -> None:
        """A remark on the step that was just done."""
        self._say(f"      {text}")

    def _say(self, text: str) -> None:
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)

    @contextmanager
    def _bar(self, label: str, total: int | None) -> Iterator[Callable[[], None]]:
        columns = [TextColumn("{task.description}", markup=False), BarColumn(bar_width=16), TimeElapsedColumn()]
        if total is not None:
            columns.insert(2, MofNCompleteColumn())
        with Progress(*columns, console=self._console, transient=True) as progress:
            task = progress.add_task(label, total=total)
            yield lambda: progress.advance(task)

    @contextmanager
    def _lines(self, label: str, total: int | None) -> Iterator[Callable[[], None]]:
        done = 0

        def advance() -> None:
            nonlocal done
            done += 1
            if total and done < total and done * _QUARTERS // total > (done - 1) * _QUARTERS // total:
                self._say(f"{label}: {done} of {total}")

        yield advance
