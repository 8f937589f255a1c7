"""The example deployment with a landing bucket, the demo's run of it, and the command as a user runs it."""

import json
import os
import random
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, Self

import boto3
import pytest

import cli.demo
from local.accounts import credentials
from local.emulator import Emulator
from local.world import World
from stacks.deployment import Names, Place, load_messaging
from tests.local.support import Account, interruptible
from tests.templates import ROOT

_REGION = 'region = "us-west-2"\n'
EXAMPLE_WITH_LANDING = (
    (ROOT / "deployments" / "example.toml")
    .read_text()
    .replace(_REGION, f"{_REGION}\n[subscribers.landing]\n")
    .replace("67_108_864", "16_777_216")
    .replace('"../', f'"{ROOT}/')
)
PAYLOAD_BYTES = 11 * 2**20
"""Three parts of a multipart upload."""
_COMMAND = "from cli.main import main; main()"
_PATHS = {"PYTHONPATH": f"{ROOT}:{ROOT / 'lambdas'}"}


class Demo:
    """A run of the demo: its exit code, its report, and its world, which outlives the run."""

    def __init__(self, folder: Path) -> None:
        worlds: list[World] = []

        class LastingWorld(World):
            def __enter__(self) -> Self:
                worlds.append(self)
                return self

            def __exit__(self, *_: object) -> None: ...

        self.file, self.payload, report = (folder / name for name in ("example.toml", "payload", "report.json"))
        self.file.write_text(EXAMPLE_WITH_LANDING)
        self.payload.write_bytes(random.Random(0).randbytes(PAYLOAD_BYTES))
        self.names = Names(load_messaging(self.file))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("cli.local_accounts.World", LastingWorld)
            self.exit_code = cli.demo.run(self.file, file=self.payload, report=report)
        (self.world,) = worlds
        self.report: dict[str, Any] = json.loads(report.read_text())

    def account(self, place: Place) -> Account:
        return Account(self.world.accounts, place.account, place.region)


class LocalAccounts:
    """`coatcheck local` in a process, until it ends as with Ctrl-C. A context manager.

    `printed` is its output, and `variables` are those that it prints for a shell.
    """

    def __init__(self, *options: str | Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", _COMMAND, "local", *map(str, options)],
            cwd=ROOT,
            env=os.environ | _PATHS,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            preexec_fn=interruptible,
        )
        self.printed = ""

    def __enter__(self) -> Self:
        assert self._process.stdout
        for line in self._process.stdout:
            self.printed += line
            if "limitations of the emulator" in line:
                break
        self.variables: dict[str, str] = dict(re.findall(r"^export (\w+)=(\S+)$", self.printed, flags=re.MULTILINE))
        return self

    def __exit__(self, *_: object) -> None:
        self._process.send_signal(signal.SIGINT)
        self.printed += self._process.communicate(timeout=60)[0]
        assert self._process.returncode == 0, self.printed

    def client(self, service: str, account: str, region: str = "us-east-1") -> Any:
        return boto3.client(  # type: ignore[call-overload]
            service,
            endpoint_url=self.variables["AWS_ENDPOINT_URL"],
            verify=self.variables["AWS_CA_BUNDLE"],
            aws_access_key_id=account,
            aws_secret_access_key=self.variables["AWS_SECRET_ACCESS_KEY"],
            region_name=region,
        )


def coatcheck(
    emulator: Emulator, config: Path, *arguments: str | Path, stdin: str = ""
) -> subprocess.CompletedProcess[str]:
    """Run the command in a process with the profiles of an AWS configuration file, in the file's folder."""
    variables = credentials(emulator, "000000000000", "us-east-1") | {"AWS_CONFIG_FILE": str(config)}
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        del variables[name]
    return subprocess.run(
        [sys.executable, "-c", _COMMAND, *map(str, arguments)],
        env=os.environ | variables | _PATHS,
        cwd=config.parent,
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
    )
