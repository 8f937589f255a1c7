"""Workers: order, limits, errors and the end."""

from __future__ import annotations

import threading
import time
from _thread import start_new_thread
from typing import Any

import pytest

from claim_check import InvalidMessage
from claim_check.s3.workers import Stopped, Workers, run_in_worker


def test_value_of_a_function_is_returned() -> None:
    assert run_in_worker(divmod, 7, 2) == (3, 1)
    assert run_in_worker(int, "11", base=2) == 3


def test_functions_run_in_other_threads_up_to_the_limit() -> None:
    barrier = threading.Barrier(3)

    def ident() -> int:
        barrier.wait(10)
        return threading.get_ident()

    with Workers(3) as workers, workers:
        calls = [workers.submit(ident) for _ in range(6)]
        idents = {workers.result(call) for call in calls}
    assert len(idents) == 3
    assert threading.get_ident() not in idents


def test_thread_begins_only_when_it_is_needed() -> None:
    with Workers(9) as workers, workers:
        idents = set()
        for _ in range(5):
            idents.add(workers.result(workers.submit(threading.get_ident)))
            while workers.running:
                workers.wait()
    assert len(idents) == 1


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_error_of_a_function_is_raised(error: type[BaseException]) -> None:
    def failing() -> None:
        raise error("reason")

    with pytest.raises(error, match="reason"):
        run_in_worker(failing)


def test_call_runs_without_a_second_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """A limit of threads or memory can be reached between the two threads of a worker."""

    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    assert run_in_worker(int, "1") == 1


@pytest.mark.parametrize("allowed", [0, 1, 2])
def test_workers_go_on_with_the_threads_there_are(allowed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    left = iter(range(allowed))

    def limited(*arguments: Any) -> int:
        if next(left, None) is None:
            raise RuntimeError("can't start new thread")
        return start_new_thread(*arguments)

    monkeypatch.setattr("claim_check.s3.workers.start_new_thread", limited)
    with Workers(3) as workers:
        if not allowed:
            with pytest.raises(RuntimeError, match="new thread"):
                workers.submit(int, "0")
            return
        calls = [workers.submit(int, str(number)) for number in range(5)]
        assert [workers.result(call) for call in calls] == list(range(5))


def test_reason_of_a_stopped_call_is_its_error() -> None:
    def stopped() -> None:
        raise Stopped(InvalidMessage("the reason"))

    with pytest.raises(InvalidMessage, match="the reason"):
        run_in_worker(stopped)
    with pytest.raises(Stopped):
        run_in_worker(exec, "from claim_check.s3.workers import Stopped\nraise Stopped")


def test_wait_returns_calls_as_they_end() -> None:
    released = threading.Event()
    with Workers(2) as workers, workers:
        slow, fast = workers.submit(released.wait, 10), workers.submit(int)
        assert workers.wait(10) is fast
        assert (workers.running, workers.wait(0), workers.wait(0.01)) == (1, None, None)
        released.set()
        assert workers.wait(10) is slow
        assert workers.running == 0


def test_exit_drops_calls_and_ends_threads() -> None:
    begun, released, ran = threading.Event(), threading.Event(), []

    def first() -> None:
        ran.append("first")
        begun.set()
        released.wait(10)

    with Workers(1) as workers, workers:
        workers.submit(first)
        workers.submit(ran.append, "second")
        begun.wait(10)
        assert not workers.stopped
    assert workers.stopped
    assert not workers.is_idle
    released.set()
    deadline = time.monotonic() + 10
    while not workers.is_idle:
        assert time.monotonic() < deadline
    assert ran == ["first"]


def test_thread_ends_with_its_workers() -> None:
    local = threading.local()

    class Mark:
        def __del__(self) -> None:
            ended.set()

    def mark() -> None:
        local.mark = Mark()

    ended = threading.Event()
    run_in_worker(mark)
    assert ended.wait(10)


def test_thread_is_known_to_threading_while_it_lives() -> None:
    thread = run_in_worker(threading.current_thread)
    assert (thread.name, thread.daemon) == ("claim-check", True)
    thread.join(10)
    assert thread not in threading.enumerate()


def test_body_of_a_call_is_not_kept() -> None:
    freed = threading.Event()

    class Body:
        def __del__(self) -> None:
            freed.set()

    def send(body: Body) -> None:
        pass

    with Workers(1) as workers, workers:
        call = workers.submit(send, Body())
        workers.result(call)
        workers.wait()
        del call
        assert freed.wait(10)
