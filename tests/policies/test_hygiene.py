"""Other tools' checks of the templates: cdk-nag, cfn-lint and CDK's validation."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from aws_cdk import App, Stack, Validations
from aws_cdk import aws_s3 as s3
from cdk_nag import AwsSolutionsChecks

from app import add_stacks
from cli.check.templates import lint
from stacks.deployment import Deployment, ResearchDeployment, load
from tests.policies.cases import organization
from tests.templates import CONTEXT, EXAMPLES, ROOT, synthesize

pytestmark = pytest.mark.exhaustive


DEPLOYMENTS: dict[str, Callable[[], Deployment | ResearchDeployment]] = {
    "organization": lambda: organization().deployment,
    **{file.stem: partial(load, file) for file in EXAMPLES},
}


@pytest.mark.parametrize("name", DEPLOYMENTS)
def test_cdk_nag_has_no_finding(name: str, tmp_path: Path) -> None:
    app = App(context=CONTEXT, outdir=str(tmp_path))
    add_stacks(app, DEPLOYMENTS[name]())
    Validations.of(app).add_plugins(AwsSolutionsChecks(app))
    app.synth()  # raises with the findings
    # Availability zones and networks are known or left to CloudFormation, so that synthesis needs no network.
    assert "missing" not in json.loads((tmp_path / "manifest.json").read_text())


def test_cdk_nag_is_active(tmp_path: Path) -> None:
    app = App(context=CONTEXT, outdir=str(tmp_path))
    s3.Bucket(Stack(app, "control"), "Bucket")
    Validations.of(app).add_plugins(AwsSolutionsChecks(app))
    with pytest.raises(RuntimeError, match="AwsSolutions-S1"):
        app.synth()


def test_cfn_lint_has_no_finding() -> None:
    """With each stack's own Region. Templates that examples share are linted once."""
    stacks = [stack for deployment in DEPLOYMENTS.values() for stack in synthesize(deployment())]
    different = {(stack.region, json.dumps(stack.template)): stack for stack in stacks}
    assert not [found.text for found in lint(different.values())]


_APP_WITH_CONTROL = """
from pathlib import Path
from aws_cdk import App, Stack, aws_s3
from app import add_stacks
from stacks.deployment import load_messaging

app = App()
add_stacks(app, load_messaging(Path("deployments/example.toml")))
aws_s3.CfnBucket(Stack(app, "control"), "Bucket", bucket_name="NOT_A_NAME")
app.synth()
"""


def test_cdk_validation_has_no_finding(tmp_path: Path) -> None:
    """In its own process: CDK reads the variable that disables its validation at import."""
    environment = {**os.environ, "CDK_OUTDIR": str(tmp_path), "CDK_CONTEXT_JSON": json.dumps(CONTEXT)}
    environment.pop("CDK_VALIDATION", None)
    command = [sys.executable, "-c", _APP_WITH_CONTROL]
    subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    report: dict[str, Any] = json.loads((tmp_path / "validation-report.json").read_text())
    stacks = {
        construct["constructPath"].partition("/")[0]
        for plugin in report["pluginReports"]
        for violation in plugin["violations"]
        for construct in violation["violatingConstructs"]
    }
    assert stacks == {"control"}, report
