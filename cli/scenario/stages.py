"""The stages of a run in the terminal: the current one with its time, and a line for each that ended."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from rich.console import Console
from rich.markup import escape
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Column

Show = Callable[[str], None]
"""Shows the present step of a stage, in place of the previous one."""
Stage = Callable[[str], AbstractContextManager[Show]]
"""Runs a stage by its name."""


class Stages:
    """A `Stage` that prints to a console, and the seconds of each stage that ended."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self.seconds: dict[str, float] = {}

    @contextmanager
    def __call__(self, name: str) -> Iterator[Show]:
        """Run a stage. While it runs, a terminal shows its time and its step, on one line."""
        start = time.monotonic()
        column = Column(no_wrap=True, overflow="ellipsis", ratio=1)
        with Progress(
            SpinnerColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.description}", markup=False, table_column=column),
            console=self._console,
            expand=True,
            transient=True,
            disable=not self._console.is_terminal,
        ) as progress:
            task = progress.add_task(name, total=None)
            yield lambda line: progress.update(task, description=f"{name}: {line}")
        self.seconds[name] = time.monotonic() - start
        self._console.print(f"[green]✓[/] {escape(name)} ({self.seconds[name]:.1f} s)")
