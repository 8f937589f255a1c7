"""`[research]`: invalid values, and properties of its tables."""

from pathlib import Path
from typing import Any

import pytest

from stacks.deployment import ResearchDeployment, parse
from tests.stacks.deployment.samples import RESEARCH_IMAGES, problem, research

LIN = {"name": "lin", "given_name": "Lin", "family_name": "Li", "email": "lin@example.com"}


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        (research("account", to=5), "research.account = 5: must be the 12 digits"),
        (research("region", to="us-east-9"), 'research.region = "us-east-9": must be an AWS Region'),
        (research("colour", to="red"), 'research.colour = "red": is not a key here. Remove it.'),
        (research("auth", to="saml"), 'research.auth = "saml": must be "sso" or "iam".'),
        (research("users", to={"name": "x"}), "must be an array of tables. Write [[research.users]], in double"),
        (
            research("identity_center", "instance_arn", to="ssoins-1"),
            'research.identity_center.instance_arn = "ssoins-1": must be the ARN',
        ),
        (
            research("identity_center", "identity_store_id", to="d-1"),
            'research.identity_center.identity_store_id = "d-1": must be an identity store id',
        ),
        (research("users", 0, "principal_id", to="ada"), 'research.users[0].principal_id = "ada": must be the id'),
        (research("users", 1, "email", to="grace"), 'research.users[1].email = "grace": must be an e-mail address'),
        (research("users", 0, "name", to="a b"), 'research.users[0].name = "a b": must be a user name'),
        (research("volume_gb", to=4), "research.volume_gb = 4: must be at least 5"),
        (research("idle_minutes", to=59), "research.idle_minutes = 59: must be at least 60"),
        (research("image_builds_kept", to=1), "research.image_builds_kept = 1: must be at least 2"),
        (research("vpc_id", to="vpc-X"), 'research.vpc_id = "vpc-X": must be a VPC id'),
        (research("readable_buckets", to=["A_b"]), 'research.readable_buckets[0] = "A_b": must be the name of an S3'),
        (research("images", 0, "name", to="Pegasus"), 'research.images[0].name = "Pegasus": must be lower-case words'),
        (research("images", 0, "apps", to=[]), "research.images[0].apps = []: must have 1 or more members."),
        (research("images", 0, "apps", to=["JupyterLab"] * 2), 'contains "JupyterLab" twice. Remove the duplicate.'),
        (research("availability_zones", to=["us-east-1a"] * 2), 'zones = ["us-east-1a", "us-east-1a"]: contains "us-'),
        (research("availability_zones", to=["use1-az1"]), 'zones[0] = "use1-az1": must be the name of an availability'),
        (research("images", 0, "base", to="python:3.11"), '"python:3.11": must be the name of an image with its'),
        (research("job_image", to="python:3.11"), 'job_image = "python:3.11": must be an image of an ECR registry'),
        (research("package_index", to="mirror"), 'research.package_index = "mirror": must be a URL without fragment'),
        (research("images", 0, "apps", to=["RStudio"]), 'apps[0] = "RStudio": must be "JupyterLab", "CodeEditor" or'),
        (research("budget", "monthly_usd", to=0), "research.budget.monthly_usd = 0: must be at least 1"),
        (research("budget", "emails", to=[]), "research.budget.emails = []: must have 1 or more members."),
        (research("pipelines", to=[{"name": "qc", "schedule": "daily"}]), 'schedule = "daily": must be rate('),
        (research("pipelines", to=[{"name": "qc", "schedule": "cron(0 3 * * ?)"}]), "or cron(minutes hours day-of-mon"),
        (
            research("pipelines", to=[{"name": "qc", "parameters": {"min_genes": True}}]),
            "research.pipelines[0].parameters.min_genes = true: must be a number or text.",
        ),
        (
            research("workstation", "stop_hour_utc", to=24, table=RESEARCH_IMAGES),
            "research.workstation.stop_hour_utc = 24: must be at most 23.",
        ),
    ],
)
def test_invalid_value_is_reported_with_key(table: dict[str, Any], expected: str) -> None:
    assert expected in problem(table)


def test_image_may_be_outside_the_project(tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM scratch AS studio\n")
    deployment = parse(research("images", to=[{"name": "own", "display_name": "Own", "context": str(tmp_path)}]))
    assert isinstance(deployment, ResearchDeployment)
    assert deployment.research.images[0].folder == tmp_path


@pytest.mark.parametrize(
    ("name", "profile"), [("ada", "ada"), ("grace@example.com", "grace-example-com"), ("A.B+c_", "a-b-c")]
)
def test_profile_is_named_after_the_user(name: str, profile: str) -> None:
    table = research("users", to=[LIN | {"name": name}])
    table["research"] |= {"groups": [], "spaces": []}
    deployment = parse(table)
    assert isinstance(deployment, ResearchDeployment)
    assert deployment.research.users[0].profile == profile
