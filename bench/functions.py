"""Messages per second of the library and of the functions' code, in one process, without a network's delays.

    python -m bench.functions

AWS's services are `services.py` in another process. A message is one call, and calls follow each other. On AWS a call
waits longer for S3, SNS and Step Functions, and Lambda runs many at the same time: docs/scale.md.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from bench import pattern
from bench.__main__ import KIB, MIB, python, serving, variables
from bench.clients import OWNER, REGION, TOPIC, ClaimCheck, _record
from bench.services import BUCKET, PREFIX
from claim_check import Store
from consume.settings import StateMachineSettings
from consume_queue.settings import Settings as ConsumeSettings
from publish.settings import Settings as PublishSettings

SIZES = (KIB, 300 * KIB, 5 * MIB)
SECONDS = 5.0
"""Time of each measurement, after a second without measurement."""
THRESHOLD = 256 * KIB
OUTBOX = "outbox/"
STORE = Store(BUCKET, PREFIX, OWNER, REGION)
QUEUE = f"https://sqs.{REGION}.amazonaws.com/{OWNER}/dead-letters"
CONTEXT = SimpleNamespace(
    function_name="function",
    function_version="1",
    memory_limit_in_mb=1024,
    invoked_function_arn=f"arn:aws:lambda:{REGION}:{OWNER}:function:function",
    aws_request_id="request",
    get_remaining_time_in_millis=lambda: 300_000,
)

Call = Callable[[], object]


def environment() -> dict[str, str]:
    """Return the variables of both functions."""
    publish = PublishSettings(
        deployment="bench",
        topic_arn=TOPIC,
        payload_store=STORE,
        outbox_prefix=OUTBOX,
        senders={},
        sender_bus="",
        dead_letter_queue_url=QUEUE,
        threshold_bytes=THRESHOLD,
        offload="over-threshold",
        maximum_upload_bytes=2**31,
        outbox_attributes=(),
    )
    machine = StateMachineSettings(
        staging_store=STORE, state_machine_arn=f"arn:aws:states:{REGION}:{OWNER}:stateMachine:bench"
    )
    consume = ConsumeSettings(trusted_stores=(STORE,), dead_letter_queue_url=QUEUE, maximum_receives=5)
    names = {"POWERTOOLS_SERVICE_NAME": "bench", "POWERTOOLS_METRICS_NAMESPACE": "bench"}
    return publish.to_environment() | machine.to_environment() | consume.to_environment() | names


def calls(size: int) -> Iterator[tuple[str, Call]]:
    """Yield what is measured, with payloads of one size."""
    client = ClaimCheck()
    data = b"".join(pattern.pieces(size))
    yield "library: publish", lambda: client._publisher.publish(data)
    records = _records(size)
    yield "library: receive and read", lambda: client._dereferencer.message(next(records)).payload.read()
    yield "consume function (state machine)", _consume(records)
    if size <= MIB - KIB:
        yield "publish function (event)", _publish({"detail": {"text": "x" * (size - 11)}, "source": "bench"})
    else:
        yield "publish function (upload)", _publish({"detail": _upload(size), "source": "aws.s3"})


def _publish(event: dict[str, Any]) -> Call:
    from publish.handler import handler

    event |= {"detail-type": "bench", "account": OWNER}
    numbers = count()

    def publish() -> None:
        number = next(numbers)
        if "object" in event["detail"]:
            event["detail"]["object"]["version-id"] = f"version-{number}"
        handler({**event, "id": f"event-{number}"}, CONTEXT)

    return publish


def _upload(size: int) -> dict[str, Any]:
    """Return the detail of S3's event about an upload."""
    return {
        "bucket": {"name": BUCKET},
        "object": {"key": f"{OUTBOX}pattern-{size}", "size": size},
        "requester": OWNER,
    }


def _records(size: int) -> Iterator[dict[str, Any]]:
    """Yield messages with payloads of one size: pointers to the same one, or inline with an id each."""
    attributes = {"SentTimestamp": "1764380000000", "ApproximateReceiveCount": "1"}
    queue = {"eventSourceARN": f"arn:aws:sqs:{REGION}:{OWNER}:bench", "attributes": attributes}
    for number in count():
        claim = {"ClaimCheck": {"dataType": "String", "stringValue": json.dumps({"id": f"m-{number}"})}}
        inline = {"messageId": "q-1", "body": "x" * size, "messageAttributes": claim}
        yield queue | (_record(size) if size > THRESHOLD else inline)


def _consume(records: Iterator[dict[str, Any]]) -> Call:
    from consume_queue.handler import handler

    return lambda: _succeeded(handler({"Records": [next(records)]}, CONTEXT))


def _succeeded(response: Any) -> None:
    if response["batchItemFailures"]:
        raise RuntimeError("the consume function failed; its log has the reason")


def measure(call: Call) -> dict[str, float]:
    """Return messages per second, and milliseconds of processor time for each."""
    end = time.monotonic() + 1
    while time.monotonic() < end:
        call()
    count, started, cpu = 0, time.monotonic(), time.process_time()
    while (elapsed := time.monotonic() - started) < SECONDS:
        call()
        count += 1
    return {"per_second": count / elapsed, "cpu_ms": 1000 * (time.process_time() - cpu) / count}


def _child() -> None:
    result = sys.stdout
    with Path(os.devnull).open("w", encoding="utf-8") as devnull:  # the functions' logs
        sys.stdout = devnull
        for size in SIZES:
            for name, call in calls(size):
                print(json.dumps({"size": size, "name": name, **measure(call)}), file=result, flush=True)


def main() -> None:
    """Measure in a process of its own, and print a table in Markdown."""
    with tempfile.TemporaryDirectory() as name, serving("memory", 0, Path(name)) as (_, url):
        aws = variables(url, Path(name))
        print("| | payload | messages per second | processor, ms a message |\n|---|---|---|---|")
        with python("bench.functions", "child", environment=aws | environment()) as process:
            assert process.stdout
            for line in process.stdout:
                row = json.loads(line)
                size = f"{row['size'] // KIB} KiB" if row["size"] < MIB else f"{row['size'] // MIB} MiB"
                print(f"| {row['name']} | {size} | {row['per_second']:,.0f} | {row['cpu_ms']:.1f} |", flush=True)
        sys.exit(process.returncode)


if __name__ == "__main__":
    _child() if sys.argv[1:] == ["child"] else main()
