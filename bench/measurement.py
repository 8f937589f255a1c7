"""One measurement, in its own process, printed as JSON. `__main__.py` starts it.

python -m bench.measurement transfer CLIENT DIRECTION PATH [MEMORY_LIMIT_IN_BYTES]
python -m bench.measurement inline COUNT
python -m bench.measurement parse COUNT
"""

from __future__ import annotations

import json
import resource
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3

from bench.clients import BUCKET, CLIENTS, QUEUE, TOPIC, key_of, received
from claim_check import Dereferencer, Pointer, Publisher, Store

RECORDS = 10  # in an event
BLOCK = 10  # messages of one client in a row


def transfer(name: str, direction: str, path: Path, limit: int | None) -> dict[str, Any]:
    """Publish or receive the file once. `rss` is the peak memory in bytes, less the memory after a small payload."""
    calls: Counter[str] = Counter()
    session = _session(calls)
    client = CLIENTS[name](session)
    with tempfile.NamedTemporaryFile(dir=path.parent) as small:
        small.write(b"payload")
        small.flush()
        client.publish(Path(small.name))
        assert client.receive() == len(b"payload")
    sqs, s3 = session.client("sqs"), session.client("s3")
    if direction == "receive":
        _enqueue(sqs, json.loads(path.with_suffix(".message").read_text()))
    calls.clear()
    if limit:
        resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    before = _reset_peak()
    wall, cpu = time.perf_counter(), time.process_time()
    if direction == "publish":
        client.publish(path)
    else:
        client.receive()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    peak = _memory("VmHWM")
    counted = dict(calls)
    if direction == "publish":  # otherwise the server's disk, which can be memory, fills up
        s3.delete_object(Bucket=BUCKET, Key=key_of(received(sqs)))
    return {"wall_s": wall, "cpu_s": cpu, "rss": peak - before, "peak": peak, "api_calls": counted}


def inline(count: int) -> dict[str, Any]:
    """Publish `count` inline messages of 1 KiB with this library, with boto3 and the same attribute, and with boto3.

    All use the same boto3 client, in turns: differences between processes would exceed those between the calls.
    """
    sns, body = boto3.client("sns"), "x" * 1024
    claim = '{"id":"0b1c2d3e-0000-4000-8000-000000000001","sha256":"' + "0" * 64 + '"}'
    attributes: Any = {"ClaimCheck": {"DataType": "String", "StringValue": claim}}
    publisher = Publisher(topic_arn=TOPIC, store=Store("bench-payloads", "", "111111111111", "eu-west-1"), sns=sns)
    calls: dict[str, Callable[[], object]] = {
        "claim_check": lambda: publisher.publish(body),
        "boto3": lambda: sns.publish(TopicArn=TOPIC, Message=body),
        "boto3, same attribute": lambda: sns.publish(TopicArn=TOPIC, Message=body, MessageAttributes=attributes),
    }
    times: dict[str, Any] = {name: {"wall_s": 0.0, "cpu_s": 0.0} for name in calls}
    for turn in range(1 + count // BLOCK):
        for name, publish in calls.items():
            wall, cpu = time.perf_counter(), time.process_time()
            for _ in range(BLOCK):
                publish()
            if turn:  # the first turn is not measured
                times[name]["wall_s"] += (time.perf_counter() - wall) / count
                times[name]["cpu_s"] += (time.process_time() - cpu) / count
    return times


def parse(count: int) -> dict[str, Any]:
    """Parse an SQS event of ten records, half of them pointers, `count` times. Returns the time of one event."""
    store = Store("bench-payloads", "payloads/", "111111111111", "eu-west-1")
    dereferencer = Dereferencer(stores=[store], s3=boto3.client("s3", region_name="eu-west-1"))
    claim = {"dataType": "String", "stringValue": '{"id":"m-1","sha256":"' + "0" * 64 + '"}'}
    marker = {"dataType": "Number", "stringValue": "1000000"}
    inline = {"messageId": "m", "body": "x" * 1024, "messageAttributes": {"ClaimCheck": claim}}
    body = Pointer("bench-payloads", "payloads/m-1").body()
    pointing = {**inline, "body": body, "messageAttributes": {"ClaimCheck": claim, "ExtendedPayloadSize": marker}}
    records = [inline, pointing] * (RECORDS // 2)
    wall, cpu = time.perf_counter(), time.process_time()
    for _ in range(count):
        assert all(outcome.message for outcome in dereferencer.outcomes(records))
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    return {"wall_s": wall / count, "cpu_s": cpu / count}


def _session(calls: Counter[str]) -> Any:
    """Return boto3's default session. The calls of all clients of all sessions are counted."""
    plain: Any = boto3.session.Session
    make = plain.__init__

    def counting(self: Any, *arguments: Any, **options: Any) -> None:
        make(self, *arguments, **options)
        self.events.register("before-call", lambda model, **_: calls.update([model.name]))

    plain.__init__ = counting
    boto3.setup_default_session()
    return boto3.DEFAULT_SESSION


def _enqueue(sqs: Any, message: dict[str, Any]) -> None:
    sqs.send_message(QueueUrl=QUEUE, MessageBody=message["Body"], MessageAttributes=message["MessageAttributes"])


def _reset_peak() -> int:
    """Reset the peak (Linux), and return the resident memory."""
    Path("/proc/self/clear_refs").write_text("5")
    return _memory("VmRSS")


def _memory(name: str) -> int:
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(name))
    return int(line.split()[1]) * 1024


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["transfer", name, direction, path, *limit]:
            result = transfer(name, direction, Path(path), int(limit[0]) if limit else None)
        case ["inline", count]:
            result = inline(int(count))
        case ["parse", count]:
            result = parse(int(count))
        case _:
            raise SystemExit(__doc__)
    json.dump(result, sys.stdout)
