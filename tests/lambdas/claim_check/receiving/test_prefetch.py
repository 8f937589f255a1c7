"""Payloads of the next records are read in advance, several at a time, within the memory limit."""

from __future__ import annotations

import hashlib
import os
import pickle
import threading
import time
from collections.abc import Callable, Iterator
from threading import Barrier
from typing import TYPE_CHECKING

import pytest

from claim_check import Dereferencer, Message, Outcome, PayloadMissing, Pointer, Publisher, Store
from claim_check.memory import MIB
from claim_check.s3 import workers
from tests.lambdas.claim_check.deliveries import DELIVERIES, NotedSns, Record
from tests.lambdas.claim_check.fake_s3 import FakeS3

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client

PAYLOADS = [bytes([number]) * 300_000 for number in range(6)]


@pytest.fixture
def records(publisher: Publisher, sns: NotedSns, fake_s3: FakeS3) -> list[Record]:
    for number, data in enumerate(PAYLOADS):
        publisher.publish(data, message_id=f"m-{number}")
    fake_s3.requests.clear()
    return [DELIVERIES["SQS event, raw"](published) for published in sns.published]


def read(outcome: Outcome) -> bytes:
    assert outcome.message
    return outcome.message.payload.read()


def test_payloads_are_read_several_at_a_time(
    records: list[Record], dereferencer: Dereferencer, fake_s3: FakeS3
) -> None:
    together = Barrier(len(PAYLOADS))
    fake_s3.before_get = lambda _: together.wait(10)
    assert [read(outcome) for outcome in dereferencer.outcomes(records, prefetch=True)] == PAYLOADS
    assert len(fake_s3.requests) == len(PAYLOADS)
    assert dereferencer._memory.held == 0


def test_payloads_are_not_read_in_advance_by_default(
    records: list[Record], dereferencer: Dereferencer, fake_s3: FakeS3
) -> None:
    assert len(list(dereferencer.outcomes(records))) == len(PAYLOADS)
    assert fake_s3.requests == []


def test_every_method_returns_the_bytes_read_in_advance(
    records: list[Record], dereferencer: Dereferencer, fake_s3: FakeS3, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("downloads")
    outcome = next(outcomes := dereferencer.outcomes(records[:1], prefetch=True))
    assert outcome.message
    payload = outcome.message.payload
    assert payload.read() == PAYLOADS[0]
    assert b"".join(payload.iter_chunks(1000)) == PAYLOADS[0]
    assert payload.open().read() == PAYLOADS[0]
    assert payload.verify_by_reading() == payload.download_to(folder / "file")
    assert (folder / "file").read_bytes() == PAYLOADS[0]
    assert len(fake_s3.requests) == 1
    assert next(outcomes, None) is None
    assert payload.read() == PAYLOADS[0], "read from S3 again"
    assert len(fake_s3.requests) == 2


def test_errors_are_those_of_a_read_without_prefetch(
    records: list[Record], dereferencer: Dereferencer, fake_s3: FakeS3
) -> None:
    del fake_s3.objects["payloads-one", "payloads/m-1"]
    records[3] = {"body": None}
    results = []
    for outcome in dereferencer.outcomes(records, prefetch=True):
        try:
            results.append(outcome.error or read(outcome))
        except PayloadMissing as error:
            results.append(error)
    assert [type(result).__name__ for result in results] == [
        *("bytes", "PayloadMissing", "bytes", "MalformedMessage", "bytes", "bytes")
    ]


def test_prefetch_stays_within_the_memory_limit(
    publisher: Publisher, sns: NotedSns, store: Store, s3: S3Client, fake_s3: FakeS3
) -> None:
    """Two payloads of three fit, and the window has three records."""
    payloads = [bytes([number]) * 1_900_000 for number in range(4)]
    for number, data in enumerate(payloads):
        publisher.publish(data, message_id=f"m-{number}")
    fake_s3.requests.clear()
    dereferencer = Dereferencer(stores=[store], s3=s3, memory=4 * MIB)
    together = Barrier(2)
    fake_s3.before_get = lambda _: together.wait(10)
    outcomes = dereferencer.outcomes(map(DELIVERIES["SQS event, raw"], sns.published), prefetch=True)
    assert read(next(outcomes)) == payloads[0]
    assert len(fake_s3.requests) == 2
    fake_s3.before_get = None
    assert [read(outcome) for outcome in outcomes] == payloads[1:]
    assert dereferencer._memory.held == 0


def test_window_has_as_many_records_as_connections(records: list[Record], store: Store, s3: S3Client) -> None:
    looked_at: list[Record] = []

    def watched() -> Iterator[Record]:
        for record in records:
            looked_at.append(record)
            yield record

    outcomes = Dereferencer(stores=[store], s3=s3, memory=4 * MIB).outcomes(watched(), prefetch=True)
    read(next(outcomes))
    assert looked_at == records[:3]


def test_large_and_inline_payloads_are_not_read_in_advance(
    publisher: Publisher, sns: NotedSns, dereferencer: Dereferencer, fake_s3: FakeS3
) -> None:
    data = {"large": bytes(8 * MIB), "inline": b"text"}
    for name, payload in data.items():
        publisher.publish(payload, message_id=name)
    fake_s3.requests.clear()
    outcomes = dereferencer.outcomes(map(DELIVERIES["SQS event, raw"], sns.published), prefetch=True)
    first = next(outcomes)
    assert message_of(first).payload.fetched is None
    assert fake_s3.requests == []
    assert read(first) == data["large"]
    assert read(next(outcomes)) == b"text"


def test_closed_iterator_keeps_no_bytes(records: list[Record], dereferencer: Dereferencer, fake_s3: FakeS3) -> None:
    outcomes = dereferencer.outcomes(records, prefetch=True)
    read(next(outcomes))
    outcomes.close()  # type: ignore[attr-defined]
    deadline = time.monotonic() + 10
    while dereferencer._memory.held and time.monotonic() < deadline:
        time.sleep(0.01)  # until the running requests have ended
    assert dereferencer._memory.held == 0


def test_message_is_read_after_its_iterator_was_closed(
    records: list[Record], dereferencer: Dereferencer, fake_s3: FakeS3, monkeypatch: pytest.MonkeyPatch
) -> None:
    late: list[Callable[[], object]] = []
    monkeypatch.setattr(workers, "start_thread", late.append)
    outcomes = dereferencer.outcomes(records, prefetch=True)
    first = next(outcomes)
    outcomes.close()  # type: ignore[attr-defined]
    for run in late:
        run()
    assert fake_s3.requests == []
    assert read(first) == PAYLOADS[0]


def message_of(outcome: Outcome) -> Message:
    assert outcome.message
    return outcome.message


def test_other_process_reads_the_payload_itself(
    records: list[Record], store: Store, fake_s3: FakeS3, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"ENDPOINT_URL_S3": fake_s3.url, "ACCESS_KEY_ID": "x", "SECRET_ACCESS_KEY": "x"}.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    begun, released = threading.Event(), threading.Event()

    def wait(number: int) -> None:
        begun.set()
        if number == 1:
            released.wait(10)

    fake_s3.before_get = wait
    outcomes = Dereferencer(stores=[store]).outcomes(records[:1], prefetch=True)
    message = message_of(next(outcomes))
    begun.wait(10)
    assert pickle.loads(pickle.dumps(message)).payload.read() == PAYLOADS[0]
    monkeypatch.setattr(os, "getpid", lambda: -1)  # as in a forked process
    assert message.payload.read() == PAYLOADS[0]
    released.set()


def test_hand_off_is_not_whole_above_8_mib(dereferencer: Dereferencer) -> None:
    sha256 = hashlib.sha256(b"").hexdigest()
    for size, whole in ((8 * MIB - 1, True), (8 * MIB, False)):
        pointer = Pointer("payloads-one", "payloads/m")
        payload = dereferencer.payload(pointer, size=size, message_id="m", sha256=sha256)
        assert payload.is_whole is whole
