"""Reading the payloads of the next records while one is processed."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator
from typing import TYPE_CHECKING

from claim_check.errors import ClaimCheckError
from claim_check.s3.workers import Workers

if TYPE_CHECKING:
    from claim_check.memory import Memory
    from claim_check.receiving.dereferencer import Outcome
    from claim_check.receiving.payload import Payload


def with_payloads(outcomes: Iterator[Outcome], memory: Memory) -> Iterator[Outcome]:
    """Yield the outcomes. Small payloads of the next ones are read by workers, as many as the memory limit allows.

    The bytes of a payload are released when the next outcome is requested. Afterwards, the payload is read from S3.
    """
    window: deque[tuple[Outcome, Payload | None]] = deque()
    with Workers(memory.connections) as workers, workers, memory.share() as share:
        started = 0
        while True:
            while len(window) < memory.connections and (outcome := next(outcomes, None)):
                window.append((outcome, _small_payload(outcome)))
            if not window:
                return
            while started < len(window):
                payload = window[started][1]
                if payload and not share.take(payload.size, needed_next=False):
                    break
                if payload:
                    _start(payload, workers)
                started += 1
            outcome, payload = window.popleft()
            yield outcome
            if payload and started:
                payload.fetched = None
                share.give_back(payload.size)
            started = max(0, started - 1)


def _small_payload(outcome: Outcome) -> Payload | None:
    payload = outcome.message.payload if outcome.message and outcome.message.stored else None
    return payload if payload and payload.is_whole else None


def _start(payload: Payload, workers: Workers) -> None:
    call = workers.submit(_bytes_of, payload)
    process = os.getpid()

    def fetched() -> bytes | None:
        while not call.is_done:
            # The workers are threads of one process, and end with the iterator.
            if workers.stopped or os.getpid() != process:
                return None
            workers.wait()
        return call.result()

    payload.fetched = fetched


def _bytes_of(payload: Payload) -> bytes | None:
    try:
        return payload.fetch()
    except ClaimCheckError:
        return None  # the caller's read has the same error, or succeeds
