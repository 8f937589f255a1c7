"""Every example deployment: what its templates allow is what is meant, and other checks have nothing to say."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from aws_cdk import App, Stack, Validations
from aws_cdk import aws_s3 as s3
from cdk_nag import AwsSolutionsChecks

from app import add_stacks
from stacks.deployment import load
from tests.policies.test_hygiene import IGNORED
from tests.policies.verdict import Judged, counterexamples, judged, settings, unaccounted
from tests.templates import ROOT, WITHOUT_CODE, synthesize

pytestmark = pytest.mark.exhaustive
EXAMPLES = sorted((ROOT / "deployments").glob("*.toml"))


@pytest.fixture(scope="module", params=EXAMPLES, ids=lambda path: path.stem)
def case(request: pytest.FixtureRequest) -> Judged:
    deployment = load(request.param)
    return judged(deployment, synthesize(deployment))


def test_all_of_it_is_as_meant(case: Judged) -> None:
    assert not unaccounted(case)
    assert not settings(case)
    found = list(counterexamples(case))
    assert not found, "\n\n".join(map(str, found))


def test_cdk_nag_has_no_finding(case: Judged, tmp_path: Path) -> None:
    app = App(context=WITHOUT_CODE, outdir=str(tmp_path))
    add_stacks(app, case.deployment)
    Validations.of(app).add_plugins(AwsSolutionsChecks(app))
    app.synth()  # raises with the findings
    # Zones, networks and all else is known or left to CloudFormation: synth works offline.
    assert "missing" not in json.loads((tmp_path / "manifest.json").read_text())
    # And it does look.
    s3.Bucket(Stack(app, "control"), "Bucket")
    with pytest.raises(RuntimeError, match="AwsSolutions-S1"):
        app.synth(force=True)


def test_cfn_lint_has_no_finding(case: Judged, tmp_path: Path) -> None:
    for stack in case.stacks:
        (tmp_path / f"{stack.name}.template.json").write_text(json.dumps(stack.template))
    regions = sorted({stack.region for stack in case.stacks})
    templates = [str(template) for template in sorted(tmp_path.iterdir())]
    assert len(templates) == len(case.stacks) >= 1
    lint = str(Path(sys.executable).with_name("cfn-lint"))
    command = [lint, "--regions", *regions, "--ignore-checks", IGNORED, "--", *templates]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stdout + found.stderr


def test_there_are_examples_of_every_shape() -> None:
    assert len(EXAMPLES) >= 8
