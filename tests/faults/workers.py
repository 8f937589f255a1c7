"""The processes of all functions, forked from one that has imported what they share."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

_REPOSITORY = Path(__file__).resolve().parents[2]
_PATIENCE_SECONDS = 5.0


class Start(NamedTuple):
    """What a process is to be: the module of its function, and its environment."""

    module: str
    environment: Mapping[str, str]


class Channel(NamedTuple):
    """To a process: file descriptors to write invocations to, and to read answers from."""

    invocations: int
    answers: int


class Workers:
    """Started at once, in the order given: `channels` has one for each."""

    def __init__(self, starts: Sequence[Start]) -> None:
        told: list[dict[str, Any]] = []
        self.channels: list[Channel] = []
        for start in starts:
            (invocations, to_send), (to_receive, answers) = os.pipe(), os.pipe()
            self.channels.append(Channel(to_send, to_receive))
            told.append({**start._asdict(), "invocations": invocations, "answers": answers})
        theirs = [file for one in told for file in (one["invocations"], one["answers"])]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.worker", json.dumps(told)],
            env={
                "PATH": os.environ["PATH"],
                "PYTHONPATH": os.pathsep.join(str(folder) for folder in (_REPOSITORY, _REPOSITORY / "lambdas")),
            },
            stdin=subprocess.DEVNULL,
            pass_fds=theirs,
            start_new_session=True,
        )
        for file in theirs:
            os.close(file)

    def stop(self) -> None:
        """Each ends when there is nothing more to read."""
        for channel in self.channels:
            os.close(channel.invocations)
        try:
            self._process.wait(_PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        for channel in self.channels:
            os.close(channel.answers)
