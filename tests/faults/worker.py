"""A function's process, with the function's environment variables.

`python -m tests.faults.worker <JSON>` starts several processes: see `tests.faults.functions`. A process imports its
module as at a cold start, then handles invocations. Messages are JSON:

    {"event": …, "kill": [3, "after"]}
    {"result": …, "error": null, "requests": 4, "metrics": {"ReceivedEvents": 1}}

`requests` is the number of requests to AWS, with each retry of botocore. `kill` ends the process at a request, as
SIGKILL does: before the third is sent, or after its response. A fork of the process with the imported module handles
invocations, so that the next fork starts within milliseconds after a kill. The reply is then `{"killed": true}`.

Three settings differ from Lambda's. A client waits a second for a response instead of a minute. Sleeps take a fiftieth
of their time. The library has S3 copy payloads above 5 MiB in parts instead of above 5 GiB.
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
from multiprocessing.connection import Connection
from typing import Any, NoReturn, TypeAlias

from tests.faults.message import PART
from tests.lambdas.events import CONTEXT

Channel: TypeAlias = "Connection[Any, Any]"
"""A connection between the campaign and a process."""

_TIMEOUT_SECONDS = 1.0
_SHARED = ("boto3", "aws_lambda_powertools", "aws_lambda_powertools.utilities.batch", "claim_check")
_LATE_CLIENTS = ("s3", "sns")  # loads the library's service models before the fork, not in each fork
_SPEED_UP = 50


def send(channel: Channel, message: dict[str, Any]) -> None:
    """Send a message."""
    channel.send_bytes(json.dumps(message).encode())


def receive(channel: Channel) -> dict[str, Any] | None:
    """Receive a message, or None at the end."""
    try:
        message: dict[str, Any] = json.loads(channel.recv_bytes())
    except EOFError:
        return None
    return message


def main() -> None:
    """Fork a process for each start in the argument."""
    starts = json.loads(sys.argv[1])
    for shared in _SHARED:
        importlib.import_module(shared)
    for start in starts:
        if os.fork() == 0:
            _begin(start, [other for other in starts if other is not start])
    _close(starts)
    for _ in starts:
        os.wait()


def _begin(start: dict[str, Any], others: list[dict[str, Any]]) -> NoReturn:
    status = 1
    try:
        _close(others)
        os.environ.clear()
        os.environ.update(start["environment"])
        _work(start["module"], Connection(start["channel"]))
        status = 0
    except Exception:
        traceback.print_exc()
    finally:
        os._exit(status)


def _close(starts: list[dict[str, Any]]) -> None:
    for start in starts:
        os.close(start["channel"])


def _work(module: str, channel: Channel) -> None:
    counter = _RequestCounter()
    handler = _load(module, counter)
    send(channel, {"ready": True})
    while True:
        child = os.fork()
        if child == 0:
            _serve(handler, counter, channel)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if status == 0:  # its input has ended
            return
        send(channel, {"killed": True})


class _RequestCounter:
    """A request counter that exits the process at a given request."""

    def __init__(self) -> None:
        self.requests = 0
        self._kill: tuple[int, str] | None = None
        self._lock = threading.Lock()
        self._request = threading.local()  # several threads upload the parts of a payload

    def start(self, kill: list[Any] | None) -> None:
        self.requests, self._kill = 0, (kill[0], kill[1]) if kill else None

    def before(self, **_: Any) -> None:
        with self._lock:
            self.requests += 1
            self._request.number = self.requests
        self._at("before")

    def after(self, **_: Any) -> None:
        self._at("after")

    def _at(self, moment: str) -> None:
        if self._kill == (self._request.number, moment):
            os._exit(137)


def _load(name: str, counter: _RequestCounter) -> Any:
    import boto3
    from botocore.config import Config

    from claim_check.s3 import copy

    boto3.setup_default_session()
    session: Any = boto3.DEFAULT_SESSION
    core = session._session
    core.set_default_client_config(Config(read_timeout=_TIMEOUT_SECONDS, connect_timeout=_TIMEOUT_SECONDS))
    core.register("before-send", counter.before)
    core.register("response-received", counter.after)
    _speed_up(time.sleep)
    copy.LARGEST_SINGLE_COPY_BYTES = copy.PART_BYTES = PART
    for service in _LATE_CLIENTS:
        session.client(service)
    return importlib.import_module(name).handler


def _speed_up(sleep: Callable[[float], None]) -> None:
    time.sleep = lambda seconds, /: sleep(float(seconds) / _SPEED_UP)


def _serve(handler: Any, counter: _RequestCounter, channel: Channel) -> None:
    log = os.open(os.environ["FAULTS_LOG"], os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(log, 1)
    os.dup2(log, 2)
    while invocation := receive(channel):
        start = os.lseek(log, 0, os.SEEK_END)
        counter.start(invocation["kill"])
        result = error = None
        try:
            result = handler(invocation["event"], CONTEXT)
        except Exception as raised:
            traceback.print_exc()
            error = {"errorType": type(raised).__name__, "errorMessage": str(raised)}
        sys.stdout.flush()
        metrics = _metrics(os.pread(log, 1 << 24, start))
        send(channel, {"result": result, "error": error, "requests": counter.requests, "metrics": metrics})


def _metrics(log: bytes) -> dict[str, float]:
    """Return the sums of the counts in a function's log, which are in CloudWatch's embedded metric format."""
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


if __name__ == "__main__":
    main()
