"""The table `[subscribers.state_machine]`: a definition and permissions, two JSON files with `${Placeholder}`s."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, ValidationInfo
from typing_extensions import Doc

from stacks.deployment.types import Table, resolve_path

PLACEHOLDERS = ("StateMachineArn", "ExecutionArnPrefix", "EventBusName", "EventBusArn", "StagingBucketArn")
LANDING_PLACEHOLDERS = ("CopyFunctionArn", "LandingBucket", "LandingBucketArn", "LandingKeyArn")
"""Placeholders that require `[subscribers.landing]`."""

UNSUCCESSFUL = ("FAILED", "TIMED_OUT", "ABORTED")
"""Statuses of executions that ended without success."""
_PLACEHOLDER = re.compile(r"\$\{([^}]*)\}")
LARGEST_DEFINITION = 900_000
"""Bytes of a definition. (CloudFormation user guide, "Understand CloudFormation quotas".)"""
_STATEMENT_KEYS = {"Sid", "Effect", "Action", "Resource", "Condition"}
_ACTION = re.compile(r"[a-z0-9-]+:[A-Za-z0-9]+")
_RESOURCE = re.compile(r"\*|arn:[^:\s]+:[^:\s]+:[^:\s]*:[^:\s]*:\S+|\$\{\w+\}\S*")
_OPERATOR = re.compile(
    r"((ForAllValues:|ForAnyValue:)?(String(Not)?(Equals(IgnoreCase)?|Like)|(Numeric|Date)(Not)?Equals"
    r"|(Numeric|Date)(Less|Greater)Than(Equals)?|Bool|BinaryEquals|(Not)?IpAddress|Arn(Not)?(Equals|Like))(IfExists)?"
    r"|Null)"
)
"""IAM's condition operators. (IAM user guide, "IAM JSON policy elements: Condition operators".)"""


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ValueError("does not exist. Paths are relative to the deployment file.") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"is not JSON: {error.msg} in line {error.lineno}, column {error.colno}.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"cannot be read: {error}.") from None


def _check_definition(path: str, info: ValidationInfo) -> str:
    file = resolve_path(path, info)
    match _read_json(file):
        case {"StartAt": str(start), "States": dict(states)} if start in states:
            if (size := file.stat().st_size) > LARGEST_DEFINITION:
                raise ValueError(
                    f"has {size:,} bytes. Use at most {LARGEST_DEFINITION:,}: a template has at most 1 MB."
                )
            for name in _missing_states({"StartAt": start, "States": states}):
                raise ValueError(f"names the state {json.dumps(name)}, which its States do not have. Add it.")
            return str(file)
    raise ValueError("is not a state machine definition: StartAt must name one of States.")


def _missing_states(machine: Mapping[str, Any]) -> Iterator[Any]:
    """Yield the states that a definition, or one in its `Parallel` and `Map` states, names and does not have."""
    states = {name: state for each in _tables(machine.get("States")) for name, state in each.items()}
    named = [machine.get("StartAt")]
    for state in _tables([*states.values()]):
        rules = [state, *_tables(state.get("Choices")), *_tables(state.get("Catch"))]
        named += [rule[key] for rule in rules for key in ("Next", "Default") if key in rule]
        for key in ("Branches", "ItemProcessor", "Iterator"):
            for inner in _tables(state.get(key)):
                yield from _missing_states(inner)
    yield from (name for name in named if name not in [*states])


def _tables(value: object) -> list[dict[str, Any]]:
    """Return the objects in a member of a definition, which is an object or a list of them."""
    return [each for each in as_list(value) if isinstance(each, dict)]


def _check_permissions(path: str, info: ValidationInfo) -> str:
    file = resolve_path(path, info)
    statements = _read_json(file)
    if not isinstance(statements, list) or not statements:
        raise ValueError("must be a list of IAM statements.")
    for index, statement in enumerate(statements):
        for problem in _statement_problems(statement):
            raise ValueError(f"statement {index}: {problem}")
    return str(file)


def _statement_problems(statement: object) -> Iterator[str]:
    if not isinstance(statement, dict) or not {"Effect", "Action", "Resource"} <= set(statement) <= _STATEMENT_KEYS:
        yield "must have Effect, Action and Resource, and may have Sid and Condition."
        return
    if statement["Effect"] not in ("Allow", "Deny"):
        yield f"Effect is {json.dumps(statement['Effect'])}. It must be Allow or Deny."
    for key, form, text in (
        ("Action", _ACTION, "is not the name of one action. Wildcards are not allowed."),
        ("Resource", _RESOURCE, "is not an ARN, a placeholder or *. Use one of these."),
    ):
        values = as_list(statement[key])
        if not values:
            yield f"{key} is empty. Add a value, or remove the statement."
        for value in values:
            if not isinstance(value, str) or not form.fullmatch(value):
                yield f"{key} {json.dumps(value)} {text}"
    if not _is_condition(statement.get("Condition", {})):
        yield f"Condition {json.dumps(statement['Condition'])} is not a table of IAM's operators, keys and values."


def _is_condition(condition: object) -> bool:
    return isinstance(condition, dict) and all(
        _OPERATOR.fullmatch(operator)
        and isinstance(keys, dict)
        and all(isinstance(value, str | int | float) for values in keys.values() for value in as_list(values))
        for operator, keys in condition.items()
    )


def as_list(value: object) -> list[Any]:
    """Return a member of an IAM statement as a list. IAM allows a single value in its place."""
    return value if isinstance(value, list) else [value]


DefinitionFile = Annotated[str, AfterValidator(_check_definition), Doc("path from the deployment file")]
PermissionsFile = Annotated[str, AfterValidator(_check_permissions), Doc("path from the deployment file")]


class StateMachineConfig(Table):
    """`[subscribers.state_machine]`: a state machine in place of the built-in one."""

    definition: DefinitionFile
    """JSON file with the definition, in Amazon States Language."""
    permissions: PermissionsFile | None = None
    """JSON file with a list of IAM statements for the state machine's role. Each action is named without wildcards. Of
    IAM and STS, only `iam:PassRole` and `sts:AssumeRole` on complete ARNs are accepted. A resource of the deployment
    needs a placeholder, and actions that change the resource itself are rejected. The role may always publish events to
    the subscriber's event bus and, with `landing`, invoke the copy function.
    """


def unknown_placeholders(path: str, *, known: Collection[str]) -> list[str]:
    """Return the placeholders of a file that have no value."""
    return sorted(set(_PLACEHOLDER.findall(Path(path).read_text(encoding="utf-8"))).difference(known))


def fill_placeholders(path: str, values: Mapping[str, str]) -> str:
    """Return a file's text with the placeholders' values."""
    return _PLACEHOLDER.sub(lambda match: values[match[1]], Path(path).read_text(encoding="utf-8"))


def read_statements(path: str, values: Mapping[str, str] | None = None) -> list[dict[str, Any]]:
    """Return the IAM statements of a file, with the placeholders' values.

    They have no `Sid`: the role's policy has statements of coatcheck too, and IAM rejects a policy with a repeated one.
    """
    statements: list[dict[str, Any]] = json.loads(fill_placeholders(path, values or {}))
    return [{key: value for key, value in statement.items() if key != "Sid"} for statement in statements]
