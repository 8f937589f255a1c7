"""Reading the deployment file: files that are not TOML, and its two phases."""

import re
import tomllib
from collections.abc import Iterator
from copy import deepcopy
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from local.environment import ROOT
from stacks.deployment import DeploymentError, ResearchDeployment, load, load_messaging, parse
from stacks.deployment.model import SCHEMA_VERSION
from tests.stacks.deployment.samples import VALID, problems, publisher

DEPLOYMENTS = ROOT / "deployments"


def test_example_loads_frozen() -> None:
    deployment = load_messaging(DEPLOYMENTS / "example.toml")
    assert [(s.name, s.kind, s.account, s.region) for s in deployment.subscribers] == [
        ("orders", "sqs", "222222222222", "us-west-2"),
        ("billing", "lambda", "333333333333", "us-east-1"),
    ]
    with pytest.raises(ValueError, match="frozen"):
        deployment.name = "other"


@pytest.mark.parametrize("name", ["research", "research-images"])
def test_research_example_loads_frozen(name: str) -> None:
    deployment = load(DEPLOYMENTS / f"{name}.toml")
    assert isinstance(deployment, ResearchDeployment)
    with pytest.raises(ValueError, match="frozen"):
        deployment.research.region = "us-west-2"


def test_messaging_is_required_by_load_messaging() -> None:
    with pytest.raises(DeploymentError, match="publisher: is missing"):
        load_messaging(DEPLOYMENTS / "research.toml")


def test_file_may_have_messages_and_research() -> None:
    research = tomllib.loads((DEPLOYMENTS / "research.toml").read_text())["research"]
    deployment = parse(VALID | {"research": research})
    assert deployment.research
    assert deployment.research.account == "555555555555"


def test_missing_file_lists_other_files(tmp_path: Path) -> None:
    (tmp_path / "prod.toml").write_text("")
    with pytest.raises(DeploymentError, match=r"does not exist.*prod\.toml"):
        load(tmp_path / "production.toml")


@pytest.mark.parametrize(
    "content",
    [
        b"name = ",
        b"\0",
        "name = 'ä'".encode("latin-1"),
        b"name = " + b"[" * 10_000,
        b"name = " + b"9" * 5_000,
        b"#" * 2**21,
    ],
    ids=["incomplete", "binary", "not UTF-8", "deep", "long", "large"],
)
def test_invalid_toml_is_reported(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "bad.toml").write_bytes(content)
    for path in (tmp_path / "bad.toml", tmp_path):
        with pytest.raises(DeploymentError, match="cannot be read as TOML"):
            load(path)


def test_byte_order_mark_is_accepted(tmp_path: Path) -> None:
    (tmp_path / "marked.toml").write_bytes(b"\xef\xbb\xbf" + (DEPLOYMENTS / "same-region.toml").read_bytes())
    assert load(tmp_path / "marked.toml").name == "coatcheck"


def test_all_invalid_values_are_reported() -> None:
    table = publisher(account="1")
    table["subscribers"][0] |= {"account": "2", "name": "Orders"}
    table["subscribers"][1] |= {"region": "mars-1", "kind": "mail"}
    table["research"] = {"account": "5", "idle_minutes": 1, "users": [{"name": "ada", "email": "ada"}]}
    keys = {line.split(" = ")[0].split(":")[0] for line in problems(table | {"unknown": 1, "name": "Coat_Check"})}
    assert keys == {
        "name",
        "unknown",
        "publisher.account",
        "subscribers[0].account",
        "subscribers[0].name",
        "subscribers[1].kind",
        "research.account",
        "research.region",
        "research.idle_minutes",
        "research.users[0].email",
    }


def test_all_problems_between_keys_are_reported() -> None:
    table = publisher(payload_lifetime_days=3, fifo=True)
    table["subscribers"][0] |= {"visibility_timeout_seconds": 60, "name": "o" * 60}
    table["subscribers"][1] |= {"name": "o" * 60}
    lines = problems(table)
    for beginning in (
        "publisher.payload_lifetime_days = 3: a pointer can be delivered to subscribers[0]",
        "publisher.payload_lifetime_days = 3: a pointer can be delivered to subscribers[1]",
        "subscribers[0].visibility_timeout_seconds = 60: is less than 6 x",
        f'subscribers[0].name = "{"o" * 60}": the reader role\'s name',
        f'subscribers[1].name = "{"o" * 60}": the name "coatcheck-{"o" * 60}" is already used by subscribers[0]',
        'subscribers[1].kind = "lambda": SNS delivers from a FIFO topic',
    ):
        assert [line for line in lines if line.startswith(beginning)], (beginning, lines)


def _paths(value: object, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Yield the paths of all values and tables. A filter policy is one value, with tests of its own."""
    if path:
        yield path
    if path[-1:] == ("filter_policy",):
        return
    members = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for step, member in members:
        yield from _paths(member, (*path, step))


@pytest.mark.parametrize(
    "wrong", [[[]], {"": 7}, date(2026, 1, 1), float("nan"), 10**400], ids=["list", "table", "date", "nan", "long"]
)
@pytest.mark.parametrize("example", ["routing", "everywhere", "workflow", "research-messages"])
def test_wrong_type_is_reported_by_key(example: str, wrong: object) -> None:
    """No other error is raised. A value that is valid by chance, such as a number for a parameter, loads."""
    file = DEPLOYMENTS / f"{example}.toml"
    table, rejected = tomllib.loads(file.read_text()), 0
    for *steps, last in _paths(table):
        copy: Any = deepcopy(table)
        target = copy
        for step in steps:
            target = target[step]
        target[last] = wrong
        lines: list[str] = []
        try:
            parse(copy, file)
        except DeploymentError as error:
            lines, rejected = error.problems, rejected + 1
        parent = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps)
        keys = (f"{parent}.{last}".lstrip("."), f"{parent}[{last}]".lstrip("."))
        assert not lines or [line for line in lines if line.startswith(keys)], (keys, lines)
    assert rejected > 10


@pytest.mark.parametrize(
    ("version", "remedy"),
    [
        (2, "Install a newer coatcheck: the changelog names the release."),
        (0, "Make the changes in docs/upgrading.md, then write schema_version = 1."),
    ],
)
def test_other_schema_version_is_the_only_problem(version: int, remedy: str) -> None:
    """Its keys can mean something else."""
    reported = problems({"schema_version": version, "name": 1, "unknown": 1})
    assert reported == [f"schema_version = {version}: This coatcheck reads version 1. {remedy}"]


def test_schema_version_is_an_integer() -> None:
    assert problems(VALID | {"schema_version": "1"}) == ['schema_version = "1": must be an integer.']


def test_every_schema_version_has_its_changes() -> None:
    page = (ROOT / "docs" / "upgrading.md").read_text().partition("### Versions of the deployment file")[2]
    rows = re.findall(r"^\| (\d+) \| \d+\.\d+\.\d+ \| .+ \|$", page, re.MULTILINE)
    assert rows == [str(version) for version in range(1, SCHEMA_VERSION + 1)]


@pytest.mark.parametrize("file", sorted(DEPLOYMENTS.glob("*.toml")), ids=lambda file: file.stem)
def test_example_has_a_schema_version(file: Path) -> None:
    assert tomllib.loads(file.read_text())["schema_version"] == SCHEMA_VERSION
