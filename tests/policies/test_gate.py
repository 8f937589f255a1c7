"""The gate before a deployment, `cdk diff --fail-on=broadening`: what the pinned CLI sees of a broken policy, or not.

Offline: compared with a template in a file instead of the deployed one. When a blind spot closes,
`docs/threat-model.md` has a sentence to lose.
"""

import json
import os
import subprocess
from pathlib import Path

import pytest
from aws_cdk import App

from access.assembly import read
from app import add_stacks
from tests.policies.mutants import BY_HAND
from tests.policies.verdict import Judged
from tests.templates import ROOT, WITHOUT_CODE


@pytest.mark.parametrize(
    ("name", "stopped"),
    [
        ("bucket: readers not pinned to a role", True),
        ("bus: any principal", False),
    ],
)
def test_what_the_gate_stops(in_organization: Judged, tmp_path: Path, name: str, stopped: bool) -> None:
    app = App(context=WITHOUT_CODE, outdir=str(tmp_path / "assembly"))
    add_stacks(app, in_organization.deployment)
    sound = read(Path(app.synth().directory))
    (mutant,) = (each for each in BY_HAND if each.name == name)
    ((before, after),) = ((s, b) for s, b in zip(sound, mutant.of(sound), strict=True) if s != b)
    (tmp_path / "before.json").write_text(json.dumps(before.template))
    (tmp_path / "assembly" / f"{after.name}.template.json").write_text(json.dumps(after.template))
    command = ["node", str(ROOT / "node_modules" / "aws-cdk" / "bin" / "cdk"), "diff", "--fail-on=broadening"]
    options = ["--app", str(tmp_path / "assembly"), "--template", str(tmp_path / "before.json"), "--no-notices"]
    ran = subprocess.run(
        [*command, *options, "--exclusively", after.name],
        env={**os.environ, "CDK_DISABLE_CLI_TELEMETRY": "true", "CDK_DISABLE_VERSION_CHECK": "true"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == int(stopped), ran.stdout + ran.stderr
