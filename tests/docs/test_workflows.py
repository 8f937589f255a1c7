"""The example workflows: pinned actions, least permissions, no stored keys, and commands that exist."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]

from cli.main import main

ROOT = Path(__file__).parents[2]
FILES = [
    ROOT / "deployments" / "github" / f"{name}.yml" for name in ("pull-request", "deploy", "deploy-account", "verify")
]
WORKFLOWS: dict[str, Any] = {file.stem: yaml.safe_load(file.read_text()) for file in FILES}
JOBS = {(name, job): settings for name, workflow in WORKFLOWS.items() for job, settings in workflow["jobs"].items()}


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_actions_are_pinned_to_commits(file: Path) -> None:
    uses = re.findall(r"uses: (.*)", file.read_text())
    pinned = re.compile(r"actions/[a-z-]+@[0-9a-f]{40} # v[0-9.]+|\./\.github/workflows/([a-z-]+\.yml) #.*")
    assert [each for each in uses if not pinned.fullmatch(each)] == []
    called = {match[1] for each in uses if (match := pinned.fullmatch(each)) and match[1]}
    assert called <= {file.name for file in FILES}


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_no_key_is_stored(file: Path) -> None:
    assert not re.search(r"secrets\.|secrets:|AWS_SECRET_ACCESS_KEY", file.read_text())


@pytest.mark.parametrize(("name", "job"), JOBS)
def test_job_has_least_permissions(name: str, job: str) -> None:
    settings = JOBS[name, job]
    assert WORKFLOWS[name]["permissions"] == {}
    allowed = {"contents": "read", "id-token": "write"}
    assert settings["permissions"].items() <= allowed.items()
    runs = yaml.safe_dump(settings)
    if "id-token" in settings["permissions"]:
        assert "environment" in settings or "uses" in settings, "only an approved job has a token"
    for step in settings.get("steps", ()):
        assert "${{" not in step.get("run", ""), "an expression in a script can be code"
    assert runs.count("persist-credentials: false") == runs.count("actions/checkout@")


def test_pull_request_has_no_token() -> None:
    assert WORKFLOWS["pull-request"]["jobs"]["check"]["permissions"] == {"contents": "read"}


def test_publisher_is_deployed_before_the_others() -> None:
    jobs = WORKFLOWS["deploy"]["jobs"]
    assert [(job, settings.get("needs")) for job, settings in jobs.items()] == [
        ("assembly", None),
        ("publisher", "assembly"),
        ("others", "publisher"),
        ("verify", "others"),
    ]


def test_workflow_verifies_with_the_profiles(monkeypatch: pytest.MonkeyPatch) -> None:
    (job,) = WORKFLOWS["verify"]["jobs"].values()
    (command,) = (step["run"].split() for step in job["steps"] if "coatcheck verify" in step.get("run", ""))
    given: dict[str, object] = {}
    monkeypatch.setattr("cli.verify.command.verify", lambda _deployment, **options: given.update(options) or 0)
    command[command.index("deployments/prod.toml")] = str(ROOT / "deployments" / "example.toml")
    with pytest.raises(SystemExit, match="0"):
        main(command[1:])
    assert (given["profiles"], given["confirm"]) == (["publisher", "orders", "billing", "shop"], False)


@pytest.fixture(scope="module")
def template() -> dict[str, Any]:
    from cfnlint import decode  # its import takes a second

    decoded, problems = decode.decode(str(ROOT / "deployments" / "github" / "role.yml"))
    assert problems == []
    return dict(decoded)


@pytest.fixture(scope="module")
def roles(template: dict[str, Any]) -> dict[str, Any]:
    resources = template["Resources"].items()
    return {name: resource["Properties"] for name, resource in resources if resource["Type"] == "AWS::IAM::Role"}


@pytest.mark.parametrize(("role", "environment"), [("Role", "Environment"), ("VerifyRole", "VerifyEnvironment")])
def test_role_trusts_one_environment(role: str, environment: str, roles: dict[str, Any]) -> None:
    (trust,) = roles[role]["AssumeRolePolicyDocument"]["Statement"]
    provider = "token.actions.githubusercontent.com"
    subject = {"Fn::Sub": f"repo:${{Repository}}:environment:${{{environment}}}"}
    assert trust["Condition"] == {"StringEquals": {f"{provider}:aud": "sts.amazonaws.com", f"{provider}:sub": subject}}
    assert trust["Action"] == "sts:AssumeRoleWithWebIdentity"


@pytest.mark.parametrize(
    ("repository", "is_valid"),
    [
        ("octo-org/octo.repo", True),
        ("octo-org@12/octo.repo@345", True),
        ("octo-org@12/octo.repo", False),
        ("octo-org/*", False),
        ("octo-org@*/octo.repo@345", False),
        ("octo-org/octo.repo:environment:other", False),
    ],
)
def test_repository_is_named_with_or_without_ids(repository: str, is_valid: bool, template: dict[str, Any]) -> None:
    pattern = template["Parameters"]["Repository"]["AllowedPattern"]
    assert bool(re.fullmatch(pattern, repository)) is is_valid


def test_role_only_assumes_bootstrap_roles(roles: dict[str, Any]) -> None:
    (statement,) = roles["Role"]["Policies"][0]["PolicyDocument"]["Statement"]
    assert statement["Action"] == "sts:AssumeRole"
    assert all("role/cdk-${Qualifier}-" in resource["Fn::Sub"] for resource in statement["Resource"])


def test_verify_role_reaches_one_deployment_only(roles: dict[str, Any]) -> None:
    """That its permissions suffice is shown by `coatcheck verify` in tests/system."""
    for statement in roles["VerifyRole"]["Policies"][0]["PolicyDocument"]["Statement"]:
        assert "*" not in str(statement["Action"])
        here = "${AWS::AccountId}"
        for resource in (each["Fn::Sub"] for each in _list(statement["Resource"])):
            assert "${Name}" in resource or "kms:ViaService" in str(statement["Condition"])
            assert here in resource or statement["Condition"] == {
                "StringNotEquals": {"aws:ResourceAccount": {"Ref": "AWS::AccountId"}}
            }


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
