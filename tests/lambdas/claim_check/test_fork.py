"""Locks and memory in a forked process, where other threads of the parent do not exist."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from threading import Event, Thread

import pytest

from claim_check import MessagingUnavailable, fork
from claim_check.https.signature import Certificates
from claim_check.memory import MIB, Memory

NOW = datetime.now(UTC)


def exit_code(child: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def test_transfers_of_the_parent_hold_no_memory_after_a_fork() -> None:
    memory = Memory(MIB)
    share = memory.share()
    assert share.take(MIB, needed_next=False)
    with memory._lock:  # as another thread
        if not (child := os.fork()):
            os._exit(int(not memory._lock.acquire(timeout=5) or memory._sum()))
    assert exit_code(child) == 0
    assert memory.held == MIB


def test_certificate_is_fetched_again_after_a_fork() -> None:
    begun, released = Event(), Event()

    def fetch(_: str) -> bytes:
        begun.set()
        released.wait(10)
        raise OSError

    def load() -> None:
        with pytest.raises(MessagingUnavailable, match="OSError"):
            certificates.at("url", NOW)

    certificates = Certificates(fetch)
    thread = Thread(target=load)
    thread.start()
    begun.wait(10)
    with certificates._lock:
        if not (child := os.fork()):
            os._exit(int(not certificates._lock.acquire(timeout=5) or len(certificates._pending)))
    released.set()
    thread.join()
    assert exit_code(child) == 0


def test_object_without_references_is_forgotten() -> None:
    memory = Memory(MIB)
    reference = fork._methods[-1]
    assert reference() == memory._renew
    del memory
    assert reference not in fork._methods
