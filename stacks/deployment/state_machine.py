"""A state machine of somebody's own: its definition and its permissions, two JSON files that the deployment file names.

Both may hold `${Name}`, for what only the deployment knows.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator

PLACEHOLDERS = ("StateMachineArn", "ExecutionArnPrefix", "EventBusName", "EventBusArn", "StagingBucketArn")
WITH_LANDING = ("CopyFunctionArn", "LandingBucket", "LandingBucketArn", "LandingKeyArn")
"""Placeholders that there are with `[subscribers.landing]` only."""

_PLACEHOLDER = re.compile(r"\$\{([^}]*)\}")
_ELEMENTS = {"Sid", "Effect", "Action", "Resource", "Condition"}


def beside(table: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """A deployment file's table, its subscribers' files as paths from `folder`, in which the deployment file is."""

    def found(subscriber: object) -> object:
        if not isinstance(subscriber, dict):
            return subscriber
        task = subscriber.get("task")
        build = {"task": _from(folder, task, ("context",))} if isinstance(task, dict) else {}
        return _from(folder, subscriber, _FILES) | build

    subscribers = table.get("subscribers")
    return (
        {**table, "subscribers": [found(each) for each in subscribers]} if isinstance(subscribers, list) else {**table}
    )


_FILES = ("definition", "permissions")


def _from(folder: Path, table: Mapping[str, Any], keys: Iterable[str]) -> dict[str, Any]:
    return {**table, **{key: str(folder / table[key]) for key in keys if isinstance(table.get(key), str)}}


def _json(path: str) -> Any:
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ValueError("there is no such file; its path begins at the deployment file's folder") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"is not JSON: {error.msg} in line {error.lineno}, column {error.colno}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"cannot be read: {error}") from None


def _definition(path: str) -> str:
    match _json(path):
        case {"StartAt": str(start), "States": dict(states)} if start in states:
            return path
    raise ValueError("is no definition of a state machine: an object whose StartAt names one of its States")


def _permissions(path: str) -> str:
    statements = _json(path)
    if not isinstance(statements, list) or not statements:
        raise ValueError("is no list of IAM statements")
    for index, statement in enumerate(statements):
        for problem in _wrong(statement):
            raise ValueError(f"statement {index}: {problem}")
    return path


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


def unknown_placeholders(path: str, *, landing: bool) -> list[str]:
    """Those in the file that stand for nothing here."""
    known = {*PLACEHOLDERS, *(WITH_LANDING if landing else ())}
    return sorted(set(_PLACEHOLDER.findall(Path(path).read_text(encoding="utf-8"))) - known)


def filled(path: str, values: Mapping[str, str]) -> str:
    """The file's text, each placeholder replaced by its value."""
    return _PLACEHOLDER.sub(lambda found: values[found[1]], Path(path).read_text(encoding="utf-8"))
