"""`[research]`: what is refused, each with key and value, and all at once; deployable alone."""

import tomllib
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from stacks.deployment import Deployment, DeploymentError, ResearchDeployment, load, load_messaging, parse
from tests.templates import ROOT

FILE = (ROOT / "deployments" / "research.toml").read_text()
IMAGES = (ROOT / "deployments" / "research-images.toml").read_text()
MESSAGING = (ROOT / "deployments" / "example.toml").read_text()
NEW = {"name": "lin", "given_name": "Lin", "family_name": "Li", "email": "lin@example.com"}


def changed(*path: str | int, to: object, file: str = FILE, **more: object) -> dict[str, Any]:
    """The file with one value below `[research]` changed (None: left out), and more set there."""
    table: Any = tomllib.loads(file)
    target = table["research"]
    target.update(deepcopy(more))
    for step in path[:-1]:
        target = target[step]
    if to is None:
        del target[path[-1]]
    else:
        target[path[-1]] = to
    assert isinstance(table, dict)
    return table


def problems(table: dict[str, Any]) -> list[str]:
    with pytest.raises(DeploymentError) as refused:
        parse(table)
    return refused.value.problems


@pytest.mark.parametrize("name", ["research.toml", "research-images.toml"])
def test_the_examples_load_frozen_and_stand_alone(name: str) -> None:
    deployment = load(ROOT / "deployments" / name)
    assert isinstance(deployment, ResearchDeployment)
    with pytest.raises(ValueError, match="frozen"):
        deployment.research.region = "us-west-2"


def test_the_section_can_stand_beside_messages() -> None:
    table = tomllib.loads(MESSAGING) | {"research": tomllib.loads(FILE)["research"]}
    deployment = parse(table)
    assert isinstance(deployment, Deployment)
    assert deployment.research
    assert deployment.research.account == "555555555555"


def test_messages_are_not_to_be_had_from_research_alone() -> None:
    with pytest.raises(DeploymentError, match="publisher: is missing"):
        load_messaging(ROOT / "deployments" / "research.toml")


def test_a_file_with_neither_says_what_is_missing() -> None:
    said = "\n".join(problems({"name": "coatcheck"}))
    assert "publisher.account: is missing" in said
    assert "at least one [[subscribers]] table" in said


def test_a_subscriber_cannot_take_the_research_stacks_name() -> None:
    table = tomllib.loads(MESSAGING) | {"research": tomllib.loads(FILE)["research"]}
    table["subscribers"][0]["name"] = "research"
    assert any("'research' already names the research environment's stack" in problem for problem in problems(table))


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        (changed("account", to=5), "research.account = 5: must be the 12 digits"),
        (changed("region", to="us-east-9"), "research.region = 'us-east-9': is not an AWS Region"),
        (changed("colour", to="red"), "research.colour = 'red': is not a key here"),
        (changed("auth", to="saml"), "research.auth = 'saml': must be 'sso' or 'iam'"),
        (changed("identity_center", to=None), '"sso": [research.identity_center] is missing'),
        (
            changed("identity_center", "instance_arn", to="ssoins-1"),
            "research.identity_center.instance_arn = 'ssoins-1': must be the ARN",
        ),
        (
            changed("identity_center", "identity_store_id", to="d-1"),
            "research.identity_center.identity_store_id = 'd-1': must be an identity store's id",
        ),
        (changed("auth", to="iam"), 'research.groups: needs auth = "sso"'),
        (changed("auth", to="iam"), 'research.identity_center: needs auth = "sso"'),
        (changed("auth", to="iam"), "research.users[0] = 'ada': with auth = \"iam\" a user has a name and nothing"),
        (changed("users", 0, "principal_id", to="ada"), "research.users[0].principal_id = 'ada': must be the id"),
        (changed("users", 0, "principal_id", to=None), "give principal_id, for a user of the directory, or given_name"),
        (changed("users", 1, "email", to=None), "research.users[1] = 'grace@example.com': give principal_id"),
        (changed("users", 1, "email", to="grace"), "research.users[1].email = 'grace': must be an e-mail address"),
        (changed("users", 0, "email", to="a@example.com"), "has a principal_id, so it is not created"),
        (changed("users", to=[NEW, NEW]), "research.users.name = 'lin': is there 2 times"),
        (
            changed("users", to=[NEW, NEW | {"name": "Lin"}]),
            "research.users.name = 'lin': is there 2 times as profile",
        ),
        (changed("users", 0, "name", to="a b"), "research.users[0].name = 'a b': must be a user name"),
        (changed("groups", 1, "members", to=["lin"]), "research.groups[1].members = 'lin': is no user of this file"),
        (changed("groups", 1, "name", to="single-cell"), "research.groups.name = 'single-cell': is there 2 times"),
        (changed("spaces", 0, "owner", to="lin"), "research.spaces[0].owner = 'lin': is no user of this file"),
        (changed("spaces", 0, "volume_gb", to=500), "research.spaces[0].volume_gb = 500: is more than maximum_vol"),
        (changed("volume_gb", to=101), "research.volume_gb = 101: is more than maximum_volume_gb = 100"),
        (changed("volume_gb", to=4), "research.volume_gb = 4: must be greater than or equal to 5"),
        (changed("idle_minutes", to=59), "research.idle_minutes = 59: must be greater than or equal to 60"),
        (changed("image_builds_kept", to=1), "research.image_builds_kept = 1: must be greater than or equal to 2"),
        (changed("vpc_id", to="vpc-0123456789abcdef0"), "research.subnet_ids: is missing"),
        (changed("subnet_ids", to=["subnet-0123456789abcdef0"]), "research.vpc_id: is missing"),
        (changed("vpc_id", to="vpc-X"), "research.vpc_id = 'vpc-X': must be the id of a VPC"),
        (changed("instance_types", to=["m5.large"]), "research.instance_types = 'm5.large': is no instance type"),
        (
            changed("default_instance_type", to="ml.g5.xlarge"),
            "research.default_instance_type = 'ml.g5.xlarge': is not one of instance_types",
        ),
        (changed("hidden_apps", to=["Excel"]), "research.hidden_apps = 'Excel': is no app of Studio"),
        (changed("hidden_apps", to=["JupyterLab"]), "research.hidden_apps = 'JupyterLab': hides an app that an image"),
        (changed("readable_buckets", to=["A_b"]), "research.readable_buckets[0] = 'A_b': must be the name of an S3"),
        (changed("permissions_boundary", to="boundary"), "research.permissions_boundary = 'boundary': must be the ARN"),
        (changed("images", 0, "name", to="Pegasus"), "research.images[0].name = 'Pegasus': must be lower-case words"),
        (changed("images", 0, "context", to="nowhere"), "research.images[0].context = 'nowhere': there is no image/p"),
        (changed("images", 0, "dockerfile", to="Other"), "there is no Other in"),
        (
            changed("images", 0, "apps", to=["KernelGateway"]),
            "Dockerfile has no stage 'kernel'; it has build, build-studio, runtime, processing, studio, code-editor",
        ),
        (changed("images", 0, "apps", to=[]), "research.images[0].apps = []"),
        (changed("images", 0, "apps", to=["JupyterLab", "JupyterLab"]), "names an app twice"),
        (
            changed("images", 0, "apps", to=["RStudio"]),
            "research.images[0].apps[0] = 'RStudio': must be 'JupyterLab', ",
        ),
        (changed("images", 0, "uid", to=7), "research.images[0].uid = 7: must be 0 or 1000"),
        (changed("images", 0, "uid", to=1000), "SageMaker takes uid 0 with gid 0, or uid 1000 with gid 100"),
        (changed("home_efs", to=False, file=IMAGES), '"KernelGateway" (Studio Classic) needs home_efs = true'),
        (changed("images", 2, "processing", to=True, file=IMAGES), "pegasus, pegasus-1 have processing = true"),
        (changed("images", 1, "name", to="pegasus", file=IMAGES), "research.images.name = 'pegasus': is there 2 times"),
        (changed("budget", "monthly_usd", to=0), "research.budget.monthly_usd = 0: must be greater than or equal to 1"),
        (changed("budget", "emails", to=[]), "research.budget.emails = []"),
        (
            changed("workstation", "instance_type", to="ml.tiny", file=IMAGES),
            "research.workstation.instance_type = 'ml.tiny': is no instance type of SageMaker notebook",
        ),
        (changed("workstation", "stop_hour_utc", to=24, file=IMAGES), "research.workstation.stop_hour_utc = 24"),
        (
            changed("users", 0, "name", to="a" * 60),
            f"research.users[0].name = '{'a' * 60}': the user's role's name 'coatcheck-studio-{'a' * 60}' has 77",
        ),
        (changed("images", 0, "name", to="p" * 50), "the image's configuration's name"),
    ],
)
def test_refused_with_key_and_value(table: dict[str, Any], expected: str) -> None:
    found = problems(table)
    assert [problem for problem in found if expected in problem], found


def test_every_problem_is_said_at_once() -> None:
    table = changed("account", to="5", idle_minutes=1)
    table["research"]["users"][1]["email"] = "grace"
    table |= {"name": "Coat_Check", "colour": "red"}
    said = "\n".join(problems(table))
    for key in ("name", "colour", "research.account", "research.idle_minutes", "research.users[1].email"):
        assert f"{key} = " in said


def test_an_image_may_be_anywhere(tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM scratch AS studio\n")
    table = changed("images", to=[{"name": "own", "display_name": "Own", "context": str(tmp_path)}])
    deployment = parse(table)
    assert isinstance(deployment, ResearchDeployment)
    assert deployment.research.images[0].folder == tmp_path


@pytest.mark.parametrize(
    ("name", "profile"), [("ada", "ada"), ("grace@example.com", "grace-example-com"), ("A.B+c_", "a-b-c")]
)
def test_a_users_name_becomes_a_profiles(name: str, profile: str) -> None:
    deployment = parse(changed("users", to=[NEW | {"name": name}], groups=[], spaces=[]))
    assert isinstance(deployment, ResearchDeployment)
    assert deployment.research.users[0].profile == profile
