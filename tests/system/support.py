"""The example deployment with a landing bucket, the demo's run of it, and the command as a user runs it."""

import json
import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any, Self

import pytest

import cli.demo
from local.accounts import credentials
from local.emulator import Emulator
from local.world import World
from stacks.deployment import Names, Place, load_messaging
from tests.local.support import Account
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
            patch.setattr("cli.demo.World", LastingWorld)
            self.exit_code = cli.demo.run(self.file, file=self.payload, report=report)
        (self.world,) = worlds
        self.report: dict[str, Any] = json.loads(report.read_text())

    def account(self, place: Place) -> Account:
        return Account(self.world.accounts, place.account, place.region)


def coatcheck(
    emulator: Emulator, config: Path, *arguments: str | Path, stdin: str = ""
) -> subprocess.CompletedProcess[str]:
    """Run the command in a process with the profiles of an AWS configuration file, in the file's folder."""
    variables = credentials(emulator, "000000000000", "us-east-1") | {"AWS_CONFIG_FILE": str(config)}
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        del variables[name]
    return subprocess.run(
        [sys.executable, "-c", "from cli.main import main; main()", *map(str, arguments)],
        env=os.environ | variables | {"PYTHONPATH": f"{ROOT}:{ROOT / 'lambdas'}"},
        cwd=config.parent,
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
    )
