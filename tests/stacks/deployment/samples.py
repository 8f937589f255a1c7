"""A valid deployment file as a table, and its problems after a change."""

import re
import tomllib
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from local.environment import ROOT
from stacks.deployment import DeploymentError, parse

VALID: dict[str, Any] = {
    "name": "coatcheck",
    "publisher": {"account": "111111111111", "region": "us-east-1"},
    "senders": [{"name": "shop", "account": "444444444444"}],
    "subscribers": [
        {"name": "orders", "kind": "sqs", "account": "222222222222", "region": "us-west-2"},
        {"name": "billing", "kind": "lambda", "account": "333333333333", "region": "us-east-1"},
    ],
}
ORDERS, BILLING = VALID["subscribers"]
PARTNER: dict[str, Any] = {
    "name": "partner",
    "kind": "https",
    "account": "555555555555",
    "region": "us-west-2",
    "endpoint": "https://hooks.example:8443/in?a=b",
}

FORM = re.compile(r"[\w.\[\]]+( = .+?)?: [^;]+\.", flags=re.DOTALL)
"""`key = value: what is wrong. What to do.`"""


def changed(*path: str | int, to: object, table: dict[str, Any] = VALID) -> dict[str, Any]:
    """Return the table with one value changed, or removed (None)."""
    *parents, last = path
    copy: Any = deepcopy(table)
    target = copy
    for step in parents:
        target = target[step]
    if to is None:
        del target[last]
    else:
        target[last] = to
    assert isinstance(copy, dict)
    return copy


def orders(**keys: object) -> dict[str, Any]:
    """Return the valid table with more keys for its subscriber of kind `sqs`."""
    return changed("subscribers", 0, to=ORDERS | keys)


def billing(**keys: object) -> dict[str, Any]:
    """Return the valid table with more keys for its subscriber of kind `lambda`."""
    return changed("subscribers", 1, to=BILLING | keys)


def https(*, publisher: dict[str, Any] | None = None, **keys: object) -> dict[str, Any]:
    """Return the valid table with a third subscriber of kind `https`, and more keys for it and the publisher."""
    table = changed("publisher", to=VALID["publisher"] | (publisher or {}))
    return table | {"subscribers": [*VALID["subscribers"], PARTNER | keys]}


def publisher(**keys: object) -> dict[str, Any]:
    """Return the valid table with more keys for its publisher."""
    return changed("publisher", to=VALID["publisher"] | keys)


def problems(table: dict[str, Any], path: Path = Path("deployment.toml")) -> list[str]:
    """Return the problems of a table, each in the form of all problems."""
    with pytest.raises(DeploymentError) as error:
        parse(table, path)
    lines = error.value.problems
    assert not [line for line in lines if not FORM.fullmatch(line)]
    return lines


def problem(table: dict[str, Any], path: Path = Path("deployment.toml")) -> str:
    """Return the only problem of a table."""
    (line,) = problems(table, path)
    return line


RESEARCH: dict[str, Any] = tomllib.loads((ROOT / "deployments" / "research.toml").read_text())
RESEARCH_IMAGES: dict[str, Any] = tomllib.loads((ROOT / "deployments" / "research-images.toml").read_text())


def research(*path: str | int, to: object, table: dict[str, Any] = RESEARCH) -> dict[str, Any]:
    """Return the table of a research deployment with one value below `[research]` changed, or removed (None)."""
    return changed("research", *path, to=to, table=table)
