"""Threads that make requests while the caller's thread waits for them.

A signal handler can raise (Ctrl-C, the time limit of a job) between any two steps of the caller's thread. Within boto,
or within a queue or lock written in Python, the exception would leave a lock taken, and later calls would never end.
Therefore requests run in workers. The caller's thread uses SimpleQueue, whose methods are one step each.
"""

from __future__ import annotations

from _thread import start_new_thread
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any, Generic, ParamSpec, Self, TypeVar

from claim_check.errors import ClaimCheckError

T = TypeVar("T")
P = ParamSpec("P")

WAIT_SECONDS = 0.5  # an exception that is raised for another thread than the main one arrives between two waits


class Stopped(BaseException):
    """Raised within a request to end it. It is not an Exception, so that boto does not retry.

    `reason` is the error of the call, or None if no caller waits for it.
    """

    def __init__(self, reason: ClaimCheckError | None = None) -> None:
        super().__init__()
        self.reason = reason


@contextmanager
def stopping() -> Iterator[None]:
    """Raise Stopped for an error of this library, which boto would wrap in its own error."""
    try:
        yield
    except ClaimCheckError as error:
        raise Stopped(error) from error


class Call(Generic[T]):
    """A function that a worker runs. `is_done` is true after it has returned or raised."""

    def __init__(self, function: Callable[[], T]) -> None:
        self._function = function
        self._values: list[T] = []
        self._error: BaseException | None = None
        self.is_done = False

    def run(self) -> None:
        """Run the function and keep its value or its error."""
        try:
            self._values.append(self._function())
        except Stopped as stopped:
            self._error = stopped.reason or stopped
        except BaseException as error:
            self._error = error
        self.is_done = True

    def result(self) -> T:
        """Return the value, or raise the error, of a call that is done."""
        if self._error:
            raise self._error
        return self._values[0]


class Workers:
    """Up to `limit` threads. A context manager: leaving it drops the calls that have not begun and ends the threads.

    A thread whose request has no response does not keep the process alive.

    Enter it twice: `with workers, workers:`. If a signal handler raises in the first exit, the second ends the threads.
    `stopped` is true from then on: a running call can read it to end early. `running` counts the calls that `wait` has
    not returned yet.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._calls: SimpleQueue[Call[Any] | None] = SimpleQueue()
        self._done: SimpleQueue[Call[Any]] = SimpleQueue()
        self._threads = 0
        self._active: set[Call[Any]] = set()
        self.running = 0
        self.stopped = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stopped = True
        for _thread in range(self._threads):
            self._calls.put(None)

    @property
    def is_idle(self) -> bool:
        """Whether no call is running. Stays true after an exit."""
        return not self._active

    def submit(self, function: Callable[P, T], /, *arguments: P.args, **options: P.kwargs) -> Call[T]:
        """Run a function in a worker, after the functions that were submitted before."""
        call = Call(partial(function, *arguments, **options))
        self.running += 1
        self._calls.put(call)
        if self._threads < min(self._limit, self.running):
            self._threads += 1
            try:
                start_thread(self._work)
            except RuntimeError:  # a limit of threads or memory: those that run go on
                self._threads -= 1
                if not self._threads:
                    raise
        return call

    def wait(self, seconds: float = WAIT_SECONDS) -> Call[Any] | None:
        """Return the next call that ends, or None if none ends within `seconds`."""
        try:
            call = self._done.get(timeout=seconds) if seconds else self._done.get_nowait()
        except Empty:
            return None
        self.running -= 1
        return call

    def result(self, call: Call[T], meanwhile: Callable[[], object] = lambda: None) -> T:
        """Wait for a call and return its value. Raises its error. `meanwhile` is called twice a second."""
        while not call.is_done:
            if not self.wait():
                meanwhile()
        return call.result()

    def _work(self) -> None:
        while call := self._calls.get():
            # In this order: after `stopped`, a call that is not in the set does not begin.
            self._active.add(call)
            if not self.stopped:
                call.run()
            self._active.discard(call)
            self._done.put(call)
            del call  # otherwise its body stays in memory while this thread waits


def start_thread(target: Callable[[], object]) -> None:
    """Run a function in a thread that does not keep the process alive. Raises RuntimeError if there is none."""
    # `Thread.start` waits for an event, which an exception of a signal handler would break. So another thread calls it.
    start_new_thread(_start_thread, (target,))


def _start_thread(target: Callable[[], object]) -> None:
    try:
        Thread(target=target, name="claim-check", daemon=True).start()
    except RuntimeError:  # there is no thread but this one
        target()


def run_in_worker(function: Callable[P, T], /, *arguments: P.args, **options: P.kwargs) -> T:
    """Return the value of a function that a worker runs. An exception of a signal handler ends the wait."""
    with Workers(1) as workers, workers:
        return workers.result(workers.submit(function, *arguments, **options))
