"""Reading templates: resources by type, policy statements by Sid."""

from collections.abc import Iterator
from typing import Any

Template = dict[str, Any]
Statement = dict[str, Any]


def resources(template: Template, kind: str) -> dict[str, dict[str, Any]]:
    return {name: each for name, each in template["Resources"].items() if each["Type"] == kind}


def without_operations(template: Template) -> Template:
    """Return the template without alarms, their topic and the dashboard."""
    operations = ("Alarms", "Dashboard")
    carrying = {name: each for name, each in template["Resources"].items() if not name.startswith(operations)}
    return {**template, "Resources": carrying}


def ours(template: Template) -> list[dict[str, Any]]:
    """Properties of the functions that are named: ours, and not those of CDK's frameworks."""
    functions = [each["Properties"] for each in resources(template, "AWS::Lambda::Function").values()]
    return [function for function in functions if "FunctionName" in function]


def consume(template: Template) -> dict[str, Any]:
    """Properties of a subscriber's consume function."""
    (function,) = (each for each in ours(template) if each["FunctionName"].endswith("-consume"))
    return function


def only(template: Template, kind: str) -> dict[str, Any]:
    """The one resource of that type."""
    (resource,) = resources(template, kind).values()
    return resource


def statements(template: Template, kind: str, *where: str) -> list[Statement]:
    """Statements of every policy document at `where` in the properties of the resources of that type."""
    found: list[Statement] = []
    for resource in resources(template, kind).values():
        document = resource["Properties"]
        for step in where or ("PolicyDocument",):
            document = document[step]
        found += document["Statement"]
    return found


def with_sid(found: list[Statement], sid: str) -> Statement:
    (statement,) = (each for each in found if each.get("Sid") == sid)
    return statement


def every_statement(node: object) -> Iterator[Statement]:
    """Every policy statement anywhere in a template."""
    if isinstance(node, dict):
        if "Effect" in node and "Action" in node:
            yield node
        for value in node.values():
            yield from every_statement(value)
    elif isinstance(node, list):
        for value in node:
            yield from every_statement(value)
