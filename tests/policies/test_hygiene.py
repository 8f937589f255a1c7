"""What others check of the templates: cdk-nag, cfn-lint and CDK's own validator."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from aws_cdk import App, Stack, Validations
from aws_cdk import aws_s3 as s3
from cdk_nag import AwsSolutionsChecks

from app import add_stacks
from tests.policies.verdict import Judged
from tests.templates import ROOT, WITHOUT_CODE

# CDK writes dependencies that CloudFormation would find by itself.
IGNORED = "W3005"


def test_cdk_nag_has_no_finding(in_organization: Judged) -> None:
    app = App(context=WITHOUT_CODE)
    add_stacks(app, in_organization.deployment)
    Validations.of(app).add_plugins(AwsSolutionsChecks(app))
    app.synth()  # raises with the findings
    # And it does look.
    s3.Bucket(Stack(app, "control"), "Bucket")
    with pytest.raises(RuntimeError, match="AwsSolutions-S1"):
        app.synth(force=True)


WITH_A_CONTROL = """
from pathlib import Path
from aws_cdk import App, Stack, aws_s3
from app import add_stacks
from stacks.deployment import Deployment, load_messaging

app = App()
add_stacks(app, load_messaging(Path("deployments/example.toml")))
aws_s3.CfnBucket(Stack(app, "control"), "Bucket", bucket_name="NOT_A_NAME")
app.synth()
"""


@pytest.mark.exhaustive
def test_cdks_own_validator_has_no_finding(tmp_path: Path) -> None:
    """In a process of its own: CDK reads whether to validate when it starts. The control shows that it did."""
    environment = {**os.environ, "CDK_OUTDIR": str(tmp_path), "CDK_CONTEXT_JSON": json.dumps(WITHOUT_CODE)}
    environment.pop("CDK_VALIDATION", None)
    subprocess.run(
        [sys.executable, "-c", WITH_A_CONTROL], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    report: dict[str, Any] = json.loads((tmp_path / "validation-report.json").read_text())
    found = {
        construct["constructPath"].partition("/")[0]
        for plugin in report["pluginReports"]
        for violation in plugin["violations"]
        for construct in violation["violatingConstructs"]
    }
    assert found == {"control"}, report


def test_cfn_lint_has_no_finding(in_organization: Judged, tmp_path: Path) -> None:
    for stack in in_organization.stacks:
        (tmp_path / f"{stack.name}.template.json").write_text(json.dumps(stack.template))
    regions = sorted({stack.region for stack in in_organization.stacks})
    lint = str(Path(sys.executable).with_name("cfn-lint"))
    templates = [str(template) for template in sorted(tmp_path.iterdir())]
    command = [lint, "--regions", *regions, "--ignore-checks", IGNORED, "--", *templates]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stdout + found.stderr
