"""The example deployment, with a landing bucket, and the command as a user runs it."""

import os
import subprocess
import sys
from pathlib import Path

from local.accounts import credentials
from local.emulator import Emulator
from tests.templates import ROOT

_REGION = 'region = "us-west-2"\n'
EXAMPLE_WITH_LANDING = (
    (ROOT / "deployments" / "example.toml")
    .read_text()
    .replace(_REGION, f"{_REGION}\n[subscribers.landing]\n")
    .replace("67_108_864", "16_777_216")
    .replace('"../', f'"{ROOT}/')
)


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
