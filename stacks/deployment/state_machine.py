"""The table `[subscribers.state_machine]`: a state machine's definition and its permissions, two JSON files.

Both may hold `${Name}`, for what only the deployment knows.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, ValidationInfo

from stacks.deployment.types import Table, from_folder

PLACEHOLDERS = ("StateMachineArn", "ExecutionArnPrefix", "EventBusName", "EventBusArn", "StagingBucketArn")
WITH_LANDING = ("CopyFunctionArn", "LandingBucket", "LandingBucketArn", "LandingKeyArn")
"""Placeholders that there are with `[subscribers.landing]` only."""

_PLACEHOLDER = re.compile(r"\$\{([^}]*)\}")
_ELEMENTS = {"Sid", "Effect", "Action", "Resource", "Condition"}


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ValueError("there is no such file; its path begins at the deployment file's folder") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"is not JSON: {error.msg} in line {error.lineno}, column {error.colno}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"cannot be read: {error}") from None


def _definition(path: str, info: ValidationInfo) -> str:
    file = from_folder(path, info)
    match _json(file):
        case {"StartAt": str(start), "States": dict(states)} if start in states:
            return str(file)
    raise ValueError("is no definition of a state machine: an object whose StartAt names one of its States")


def _permissions(path: str, info: ValidationInfo) -> str:
    file = from_folder(path, info)
    statements = _json(file)
    if not isinstance(statements, list) or not statements:
        raise ValueError("is no list of IAM statements")
    for index, statement in enumerate(statements):
        for problem in _wrong(statement):
            raise ValueError(f"statement {index}: {problem}")
    return str(file)


def _wrong(statement: object) -> Iterator[str]:
    """What is wrong with one statement of a role's own policy."""
    if not isinstance(statement, dict) or not {"Effect", "Action", "Resource"} <= set(statement) <= _ELEMENTS:
        yield "must have Effect, Action and Resource, may have Sid and Condition, and nothing else"
        return
    if statement["Effect"] not in ("Allow", "Deny"):
        yield f"Effect is {statement['Effect']!r}, and must be Allow or Deny"
    for action in listed(statement["Action"]):
        if not isinstance(action, str) or not re.fullmatch(r"[a-z0-9-]+:[A-Za-z0-9]+", action):
            yield f"Action {action!r}: name each action by itself, without wildcards"


def listed(value: object) -> list[Any]:
    """IAM takes one value where it takes a list of them."""
    return value if isinstance(value, list) else [value]


DefinitionFile = Annotated[str, AfterValidator(_definition)]
PermissionsFile = Annotated[str, AfterValidator(_permissions)]


class StateMachineConfig(Table):
    """`[subscribers.state_machine]`: a state machine of one's own instead of ours."""

    definition: DefinitionFile
    """Its definition, a JSON file."""
    permissions: PermissionsFile | None = None
    """What its role may do besides: a JSON file, a list of IAM statements."""


def unknown_placeholders(path: str, *, landing: bool) -> list[str]:
    """Those in the file that stand for nothing here."""
    known = {*PLACEHOLDERS, *(WITH_LANDING if landing else ())}
    return sorted(set(_PLACEHOLDER.findall(Path(path).read_text(encoding="utf-8"))) - known)


def filled(path: str, values: Mapping[str, str]) -> str:
    """The file's text, each placeholder replaced by its value."""
    return _PLACEHOLDER.sub(lambda found: values[found[1]], Path(path).read_text(encoding="utf-8"))
