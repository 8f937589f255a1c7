"""What others check of our templates: cdk-nag, cfn-lint and CDK's own validator, on every example."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from aws_cdk import App, Validations
from cdk_nag import AwsSolutionsChecks

from app import add_stacks
from stacks.deployment import load
from tests.templates import CONTEXT, ROOT

EXAMPLES = sorted((ROOT / "deployments").glob("research*.toml"))
# CDK writes dependencies that CloudFormation would find by itself.
IGNORED = "W3005"


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_cdk_nag_has_no_finding(example: Path, tmp_path: Path) -> None:
    app = App(context={**CONTEXT, "aws:cdk:bundling-stacks": []}, outdir=str(tmp_path))
    add_stacks(app, load(example))
    Validations.of(app).add_plugins(AwsSolutionsChecks(app))
    app.synth()  # raises with the findings
    report = json.loads((tmp_path / "validation-report.json").read_text())
    assert all(plugin["conclusion"] == "success" for plugin in report["pluginReports"])


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_synth_asks_nobody(example: Path, tmp_path: Path) -> None:
    """Zones, VPC and all else is known or left to CloudFormation: synth works offline."""
    app = App(context={**CONTEXT, "aws:cdk:bundling-stacks": []}, outdir=str(tmp_path))
    add_stacks(app, load(example))
    app.synth()
    assert "missing" not in json.loads((tmp_path / "manifest.json").read_text())


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_cfn_lint_has_no_finding(example: Path, tmp_path: Path) -> None:
    deployment = load(example)
    assert deployment.research
    app = App(context={**CONTEXT, "aws:cdk:bundling-stacks": []}, outdir=str(tmp_path))
    add_stacks(app, deployment)
    stacks = [stack for stack in app.synth().stacks if stack.environment.account == deployment.research.account]
    command = [
        str(Path(sys.executable).with_name("cfn-lint")),
        "--regions",
        deployment.research.region,
        "--ignore-checks",
        IGNORED,
    ]
    templates = [stack.template_full_path for stack in stacks]
    assert templates
    found = subprocess.run([*command, "--", *templates], capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stdout + found.stderr
