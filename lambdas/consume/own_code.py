"""The application's own code: `process` of `application.py`, in the folder that the deployment file names."""

import importlib
import json
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from claim_check import Message
from consume.settings import OwnCodeSettings
from shared.handoff import InvalidResult
from shared.settings import InvalidSettings

FOLDER = Path(__file__).parents[1] / "own_code"
"""The folder's content and its requirements, in the function's asset."""
Process = Callable[[Message], Any]
"""Processes one message, and returns a value for the application. Called again if a later step fails."""


class ProcessTimeout(Exception):
    """Own code did not end in its time. A retry can succeed."""


class ProcessExit(Exception):
    """Own code ended the process, as `sys.exit` does. Only this message fails."""


class _Expired(BaseException):
    """Not an Exception: own code may catch those."""


def process_from(environment: Mapping[str, str]) -> Process:
    """Return own code with its time limit, or a function that returns None if the environment names no own code.

    Raises:
        InvalidSettings: The folder's module has no `process`.
    """
    if "PROCESS_SECONDS" not in environment:
        return lambda _: None
    seconds = OwnCodeSettings.from_environment(environment).process_seconds
    sys.path.append(str(FOLDER))
    process = getattr(importlib.import_module("application"), "process", None)
    if not callable(process):
        raise InvalidSettings("application.py: has no function process(message). Add it and deploy the stack again.")
    return _limited(process, seconds)


def _limited(process: Process, seconds: float) -> Process:
    def limited(message: Message) -> Any:
        with _time_limit(seconds):
            result = process(message)
        return _json_ready(result, message.id)

    return limited


@contextmanager
def _time_limit(seconds: float) -> Iterator[None]:
    """Interrupt the block after `seconds`. Lambda calls a handler in the main thread, which receives the signal."""

    def expire(*_: object) -> None:
        raise _Expired

    before = signal.signal(signal.SIGALRM, expire)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    except _Expired:
        text = f"process did not end in {seconds} s: raise code.timeout_seconds, or do the work in the application"
        raise ProcessTimeout(text) from None
    except SystemExit as error:
        raise ProcessExit(f"process ended with exit code {error.code}: return or raise an error instead") from error
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _json_ready(result: Any, message_id: str) -> Any:
    """Return the result as JSON has it. Raises InvalidResult."""
    try:
        text = json.dumps(result, allow_nan=False, ensure_ascii=False)
        text.encode()
        return json.loads(text)
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidResult(f"process returned a value that JSON cannot hold: {error}", message_id=message_id) from None
