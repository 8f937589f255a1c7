"""`cdk diff --fail-on=broadening`, which docs/threat-model.md recommends before a deployment.

The pinned CLI finds one of these mutants and not the other. The template before the change is a file, so that the test
needs no account.
"""

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from aws_cdk import App

from access.assembly import read
from access.findings import Case
from app import add_stacks
from tests.policies.cases import Node, mutate
from tests.templates import CONTEXT, ROOT

pytestmark = pytest.mark.exhaustive

PUBLISHER = "coatcheck-publisher"


def _without_role(template: Node) -> None:
    resources = template["Resources"]
    (policy,) = (r["Properties"]["PolicyDocument"] for r in resources.values() if r["Type"] == "AWS::S3::BucketPolicy")
    (statement,) = (s for s in policy["Statement"] if s.get("Sid") == "ReadPayloadsOrders")
    del statement["Condition"]["ArnEquals"]


def _any_principal(template: Node) -> None:
    resources = template["Resources"]
    (policy,) = (r["Properties"] for r in resources.values() if r["Type"] == "AWS::Events::EventBusPolicy")
    policy["Statement"]["Principal"] = "*"


@pytest.mark.parametrize(("change", "exit_code"), [(_without_role, 1), (_any_principal, 0)], ids=["bucket", "bus"])
def test_diff_fails_on_broadening(
    in_organization: Case, tmp_path: Path, change: Callable[[Node], None], exit_code: int
) -> None:
    app = App(context=CONTEXT, outdir=str(tmp_path / "assembly"))
    add_stacks(app, in_organization.deployment)
    stacks = read(Path(app.synth().directory))
    ((before, after),) = ((a, b) for a, b in zip(stacks, mutate(stacks, PUBLISHER, change), strict=True) if a != b)
    (tmp_path / "before.json").write_text(json.dumps(before.template))
    (tmp_path / "assembly" / f"{after.name}.template.json").write_text(json.dumps(after.template))
    command = ["node", str(ROOT / "node_modules" / "aws-cdk" / "bin" / "cdk"), "diff", "--fail-on=broadening"]
    options = ["--app", str(tmp_path / "assembly"), "--template", str(tmp_path / "before.json"), "--no-notices"]
    result = subprocess.run(
        [*command, *options, "--exclusively", after.name],
        env={**os.environ, "CDK_DISABLE_CLI_TELEMETRY": "true", "CDK_DISABLE_VERSION_CHECK": "true"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == exit_code, result.stdout + result.stderr
