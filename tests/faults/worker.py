"""A function's process, with the function's environment; `python -m tests.faults.worker <JSON>` starts several at once.

It imports the module as a cold start does and answers invocations, as JSON, each after a line with its length:

    {"event": …, "kill": [3, "after"]}  ->  {"answer": …, "error": null, "calls": 4, "metrics": {"ReceivedEvents": 1}}

`calls` counts the requests to AWS, each try of botocore's for itself. With `kill` the process ends at one of them, as
by SIGKILL: before the third is sent, or after its answer has come. A fork of the imported module serves, so that a new
process takes milliseconds: the answer then is `{"killed": true}`.

Three settings differ from Lambda's: a client waits a second for an answer, not a minute; what waits before it tries
again waits a fiftieth of the time; and the library has S3 copy in parts what is larger than 5 MiB, not 5 GiB.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, NoReturn

from tests.faults.message import PART

_PATIENCE_SECONDS = 1.0
_SHARED = ("boto3", "aws_lambda_powertools", "aws_lambda_powertools.utilities.batch", "claim_check")
_MADE_LATE = ("s3", "sns")  # the library's clients: what botocore reads for them is read once, not in every fork
_HASTE = 50


def send(file: int, message: dict[str, Any]) -> None:
    """Write a message to a file descriptor."""
    data = json.dumps(message).encode()
    view = memoryview(b"%010d\n" % len(data) + data)
    while view:
        view = view[os.write(file, view) :]


def receive(file: int) -> dict[str, Any] | None:
    """Read a message, and no byte more: what follows is for who comes after a killed process. None at the end."""
    head = _read(file, 11)
    if not head:
        return None
    message: dict[str, Any] = json.loads(_read(file, int(head)))
    return message


def _read(file: int, size: int) -> bytes:
    pieces: list[bytes] = []
    while size and (piece := os.read(file, size)):
        pieces.append(piece)
        size -= len(piece)
    return b"".join(pieces)


def main() -> None:
    """Fork a process for each that is told of: see `tests.faults.workers`."""
    told = json.loads(sys.argv[1])
    for shared in _SHARED:
        importlib.import_module(shared)
    for one in told:
        if os.fork() == 0:
            _begin(one, [other for other in told if other is not one])
    _close(told)
    for _ in told:
        os.wait()


def _begin(told: dict[str, Any], others: list[dict[str, Any]]) -> NoReturn:
    status = 1
    try:
        _close(others)
        os.environ.clear()
        os.environ.update(told["environment"])
        os.dup2(told["invocations"], 0)
        _work(told["module"], told["answers"])
        status = 0
    except Exception:
        traceback.print_exc()
    finally:
        os._exit(status)


def _close(told: list[dict[str, Any]]) -> None:
    for one in told:
        os.close(one["invocations"])
        os.close(one["answers"])


def _work(module: str, replies: int) -> None:
    steps = _Steps()
    handler = _load(module, steps)
    send(replies, {"ready": True})
    while True:
        child = os.fork()
        if child == 0:
            _serve(handler, steps, replies)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if status == 0:  # the end of the input
            return
        send(replies, {"killed": True})


class _Steps:
    """Counts the requests to AWS, and ends the process at the one it is told."""

    def __init__(self) -> None:
        self.calls = 0
        self._kill: tuple[int, str] | None = None
        self._lock = threading.Lock()
        self._request = threading.local()  # parts of a payload are sent by several threads

    def start(self, kill: list[Any] | None) -> None:
        self.calls, self._kill = 0, (kill[0], kill[1]) if kill else None

    def before(self, **_: Any) -> None:
        with self._lock:
            self.calls += 1
            self._request.number = self.calls
        self._at("before")

    def after(self, **_: Any) -> None:
        self._at("after")

    def _at(self, moment: str) -> None:
        if self._kill == (self._request.number, moment):
            os._exit(137)


def _load(name: str, steps: _Steps) -> Any:
    import boto3
    from botocore.config import Config

    from claim_check.s3 import copy as copying

    boto3.setup_default_session()
    session: Any = boto3.DEFAULT_SESSION
    core = session._session
    core.set_default_client_config(Config(read_timeout=_PATIENCE_SECONDS, connect_timeout=_PATIENCE_SECONDS))
    core.register("before-send", steps.before)
    core.register("response-received", steps.after)
    _hurry(time.sleep)
    copying.LARGEST_SINGLE_COPY_BYTES = copying.PART_BYTES = PART
    for service in _MADE_LATE:
        session.client(service)
    return importlib.import_module(name).handler


def _hurry(sleep: Callable[[float], None]) -> None:
    time.sleep = lambda seconds, /: sleep(float(seconds) / _HASTE)


def _serve(handler: Any, steps: _Steps, replies: int) -> None:
    log = os.open(os.environ["FAULTS_LOG"], os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(log, 1)
    os.dup2(log, 2)
    while invocation := receive(0):
        start = os.lseek(log, 0, os.SEEK_END)
        steps.start(invocation["kill"])
        answer = error = None
        try:
            answer = handler(invocation["event"], _CONTEXT)
        except Exception as raised:
            traceback.print_exc()
            error = {"errorType": type(raised).__name__, "errorMessage": str(raised)}
        sys.stdout.flush()
        metrics = _metrics(os.pread(log, 1 << 24, start))
        send(replies, {"answer": answer, "error": error, "calls": steps.calls, "metrics": metrics})


def _metrics(log: bytes) -> dict[str, float]:
    """The sums of what a function's log counts in CloudWatch's embedded format."""
    sums: Counter[str] = Counter()
    for line in log.splitlines():
        if not line.startswith(b"{"):
            continue
        entry = json.loads(line)
        for directive in entry.get("_aws", {}).get("CloudWatchMetrics", []):
            for metric in directive["Metrics"]:
                if metric["Unit"] == "Count":
                    values = entry[metric["Name"]]
                    sums[metric["Name"]] += sum(values) if isinstance(values, list) else values
    return dict(sums)


_CONTEXT = SimpleNamespace(
    function_name="function",
    function_version="$LATEST",
    memory_limit_in_mb=1024,
    invoked_function_arn="arn:aws:lambda:us-east-1:111111111111:function:function",
    aws_request_id="request",
    get_remaining_time_in_millis=lambda: 300_000,
)


if __name__ == "__main__":
    main()
