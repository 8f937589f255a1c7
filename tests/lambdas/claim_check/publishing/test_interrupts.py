"""Exceptions of signal handlers: a publish ends at once, and leaves neither an upload nor memory in use."""

from __future__ import annotations

import dis
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from types import FrameType, SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError

from claim_check import Entry, Publisher, Store, offload
from claim_check.publishing import offload as offloading_module
from claim_check.s3 import multipart as multipart_module
from tests.lambdas.claim_check.conftest import TOPIC
from tests.lambdas.claim_check.deliveries import NotedSns
from tests.lambdas.claim_check.fake_s3 import FakeS3


class TimeLimit(Exception):
    """Raised by a signal handler."""


class S3InMemory:
    """An S3 client without a network. `uploads` are those that are neither complete nor aborted."""

    def __init__(self) -> None:
        self.uploads: set[str] = set()
        self.objects: dict[str, Any] = {}
        events = SimpleNamespace(register=lambda *_, **__: None)
        self.meta = SimpleNamespace(config=SimpleNamespace(max_pool_connections=3), events=events)

    def head_object(self, **request: Any) -> dict[str, Any]:
        raise ClientError({"Error": {"Code": "404"}}, "HeadObject")

    def put_object(self, **request: Any) -> dict[str, Any]:
        return {"ETag": "e"}

    def create_multipart_upload(self, **request: Any) -> dict[str, Any]:
        self.uploads.add(request["Key"])
        return {"UploadId": request["Key"]}

    def upload_part(self, **request: Any) -> dict[str, Any]:
        assert request["UploadId"] in self.uploads
        return {"ETag": str(sum(len(piece) for piece in iter(request["Body"].read, b"")))}

    def complete_multipart_upload(self, **request: Any) -> dict[str, Any]:
        self.uploads.remove(request["UploadId"])
        return {"ETag": "e"}

    def abort_multipart_upload(self, **request: Any) -> None:
        self.uploads.remove(request["UploadId"])


def interrupted_at(step: int, call: Callable[[], object]) -> bool:
    """Return whether the call has a step of this number. That step raises TimeLimit.

    A step is a point at which CPython runs signal handlers: the begin of a function, the end of a call, a jump back.
    Those of the library and of `threading` are counted.
    """
    steps = 0
    earlier: dict[FrameType, str] = {}

    def trace(frame: FrameType, event: str, _: object) -> Any:
        nonlocal steps
        if not frame.f_globals.get("__name__", "").startswith(("claim_check", "threading")):
            return None
        frame.f_trace_opcodes = True
        if event == "opcode":
            steps += earlier.get(frame, "").startswith(("CALL", "RESUME", "JUMP_BACKWARD"))
            earlier[frame] = dis.opname[frame.f_code.co_code[frame.f_lasti]]
            if steps == step:
                sys.settrace(None)
                raise TimeLimit
        return trace

    sys.settrace(trace)
    try:
        outcomes = call()
    except TimeLimit:
        return True
    finally:
        sys.settrace(None)
    # An exception that is raised while a payload of a batch is read becomes the outcome of its entry.
    return isinstance(outcomes, list) and any(isinstance(outcome.error, TimeLimit) for outcome in outcomes)


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"PUT_BYTES": 10, "PART_BYTES": 10, "_LARGEST_EQUAL_PART_BYTES": 10}.items():
        monkeypatch.setattr(offloading_module, name, value)


PAYLOADS: dict[str, Callable[[], Any]] = {
    "one request": lambda: b"\0" * 10,
    "bytes": lambda: b"\0" * 45,
    "stream": lambda: [b"\0" * 45],
}


STRIDES = [29, pytest.param(1, marks=pytest.mark.exhaustive)]


@pytest.mark.parametrize("payload", PAYLOADS.values(), ids=PAYLOADS)
@pytest.mark.parametrize("stride", STRIDES)
def test_interrupt_at_any_step_leaves_nothing(stride: int, payload: Callable[[], Any], store: Store) -> None:
    s3: Any = S3InMemory()
    publisher = Publisher(topic_arn=TOPIC, store=store, offload="always", sns=NotedSns().client(), s3=s3)
    step = 1
    while interrupted_at(step, lambda: publisher.publish(payload(), message_id="m-1")):
        assert s3.uploads == set()
        assert publisher._memory.held == 0
        step += stride
    assert step > 100, "the number of steps"


@pytest.mark.parametrize("stride", [89, pytest.param(7, marks=pytest.mark.exhaustive)])
def test_interrupt_of_a_batch_leaves_nothing(stride: int, store: Store) -> None:
    s3: Any = S3InMemory()
    publisher = Publisher(topic_arn=TOPIC, store=store, offload="always", sns=NotedSns().client(), s3=s3)
    step = 1
    entries = [Entry(payload=payload()) for payload in PAYLOADS.values()]
    while interrupted_at(step, lambda: publisher.publish_batch(entries)):
        assert s3.uploads == set()
        assert publisher._memory.held == 0
        step += stride
    assert step > 100, "the number of steps"


@pytest.fixture
def time_limit() -> Iterator[Callable[[float], object]]:
    """A function that makes a signal handler raise TimeLimit after a number of seconds."""

    def expired(*_: object) -> None:
        raise TimeLimit

    earlier = signal.signal(signal.SIGALRM, expired)
    yield lambda seconds: signal.setitimer(signal.ITIMER_REAL, seconds)
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, earlier)


@pytest.mark.skipif(sys.platform == "win32", reason="setitimer is a Unix function")
@pytest.mark.parametrize(("method", "on"), [("POST", "?uploads"), ("PUT", "partNumber=2"), ("POST", "?uploadId")])
def test_interrupt_ends_a_call_without_response(
    method: str,
    on: str,
    s3: Any,
    store: Store,
    fake_s3: FakeS3,
    time_limit: Callable[[float], object],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(multipart_module, "_END_SECONDS", 0.5)
    released, asked = threading.Event(), threading.Event()

    def hook(request: str) -> None:
        if on in request and request.startswith(method):
            asked.set()
            released.wait(20)

    fake_s3.hook = hook
    threading.Thread(target=lambda: asked.wait() and time_limit(0.05)).start()
    begun = time.monotonic()
    with pytest.raises(TimeLimit) as caught:
        offload(b"\0" * 45, store=store, message_id="m-1", s3=s3)
    assert time.monotonic() - begun < 10
    if method == "POST":  # a part's request ends at once, unless all of the part is sent
        (note,) = caught.value.__notes__
        assert "was not aborted: S3 is slow" in note
    released.set()
    deadline = time.monotonic() + 10
    while fake_s3.uploads or (not fake_s3.objects and not fake_s3.requests_of("DELETE")):
        assert time.monotonic() < deadline, "the upload is aborted as soon as S3 answers"
        time.sleep(0.01)


@pytest.mark.skipif(sys.platform == "win32", reason="setitimer is a Unix function")
@pytest.mark.parametrize("size", [10, 45])
def test_interrupt_ends_a_batch(
    size: int,
    publisher: Publisher,
    fake_s3: FakeS3,
    sns: NotedSns,
    time_limit: Callable[[float], object],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(multipart_module, "_END_SECONDS", 0.1)
    released = threading.Event()
    fake_s3.hook = lambda request: released.wait(20) if request.startswith("P") else None
    time_limit(0.3)
    with pytest.raises(TimeLimit):
        publisher.publish_batch([Entry(payload=b"\0" * size), Entry(payload="inline")])
    assert sns.published == []
    released.set()


@pytest.mark.skipif(sys.platform == "win32", reason="setitimer is a Unix function")
def test_interrupts_of_a_client_leave_it_usable(
    s3: Any, store: Store, fake_s3: FakeS3, time_limit: Callable[[float], object]
) -> None:
    for attempt in range(40):
        time_limit(0.0005 * (attempt + 1))
        try:
            offload(b"\0" * 45, store=store, message_id=f"m-{attempt}", s3=s3)
            time_limit(0)
        except TimeLimit:
            pass
        assert fake_s3.uploads == {}
    assert offload(b"\0" * 45, store=store, message_id="last", s3=s3).created


@pytest.mark.skipif(not hasattr(os, "fork"), reason="fork is a Unix function")
@pytest.mark.parametrize("on", ["?uploads", "partNumber=2", "?uploadId"])
@pytest.mark.parametrize("payload", ["bytes", "stream"])
def test_killed_publish_sends_nothing_and_can_be_repeated(
    payload: str, on: str, fake_s3: FakeS3, store: Store, publisher: Publisher, sns: NotedSns
) -> None:
    """Parts that S3 has stored stay until the bucket's lifecycle rule deletes them."""
    forked, children = threading.Event(), list[int]()

    def hook(request: str) -> None:
        if on in request and forked.wait(10):
            os.kill(children[0], signal.SIGKILL)

    fake_s3.hook = hook
    if not (child := os.fork()):
        sending: Any = SimpleNamespace(publish=lambda **_: os._exit(0))
        killed = Publisher(topic_arn=TOPIC, store=store, offload="always", sns=sending, s3=fake_s3.client())
        killed.publish(PAYLOADS[payload](), message_id="m-1")
    children.append(child)
    forked.set()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    fake_s3.hook = lambda _: None
    publisher.publish(PAYLOADS[payload](), message_id="m-1")
    assert [stored.data for stored in fake_s3.objects.values()] == [b"\0" * 45]
    assert len(sns.published) == 1
