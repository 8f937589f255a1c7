"""Readers of templates: resources by type, policy statements by Sid."""

from collections.abc import Iterator
from typing import Any

Template = dict[str, Any]
Statement = dict[str, Any]


def resources(template: Template, kind: str) -> dict[str, dict[str, Any]]:
    """Return the resources of a type by logical id."""
    return {name: resource for name, resource in template["Resources"].items() if resource["Type"] == kind}


def without_alarms(template: Template) -> Template:
    """Return the template without alarms, their topic and the dashboard."""
    prefixes = ("Alarms", "Dashboard")
    others = {name: resource for name, resource in template["Resources"].items() if not name.startswith(prefixes)}
    return {**template, "Resources": others}


def named_functions(template: Template) -> list[dict[str, Any]]:
    """Properties of the functions that are named: named_functions, and not those of CDK's frameworks."""
    functions = [each["Properties"] for each in resources(template, "AWS::Lambda::Function").values()]
    return [function for function in functions if "FunctionName" in function]


def consume_function(template: Template) -> dict[str, Any]:
    """Return the properties of a subscriber's consume function."""
    (function,) = (function for function in named_functions(template) if function["FunctionName"].endswith("-consume"))
    return function


def only(template: Template, kind: str) -> dict[str, Any]:
    """Return the one resource of a type."""
    (resource,) = resources(template, kind).values()
    return resource


def statements(template: Template, kind: str, *path: str) -> list[Statement]:
    """Return the statements of the policy document at a path in the properties of every resource of a type."""
    found: list[Statement] = []
    for resource in resources(template, kind).values():
        document = resource["Properties"]
        for key in path or ("PolicyDocument",):
            document = document[key]
        found += document["Statement"]
    return found


def with_sid(policy: list[Statement], sid: str) -> Statement:
    """Return the one statement with a Sid."""
    (statement,) = (statement for statement in policy if statement.get("Sid") == sid)
    return statement


def every_statement(node: object) -> Iterator[Statement]:
    """Yield every policy statement of a template."""
    if isinstance(node, dict):
        if "Effect" in node and "Action" in node:
            yield node
        for value in node.values():
            yield from every_statement(value)
    elif isinstance(node, list):
        for value in node:
            yield from every_statement(value)
