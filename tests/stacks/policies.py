"""Readers of templates: resources by type, and policy statements."""

from collections.abc import Iterator
from typing import Any

from access.assembly import StackTemplate
from access.template import Resources

Template = dict[str, Any]
Statement = dict[str, Any]


def resources(template: Template, kind: str) -> dict[str, dict[str, Any]]:
    """Return the resources of a type by logical id."""
    return {name: resource for name, resource in template["Resources"].items() if resource["Type"] == kind}


def named_functions(template: Template) -> list[dict[str, Any]]:
    """Return the properties of the named functions. Those of CDK's frameworks have no names."""
    functions = [each["Properties"] for each in resources(template, "AWS::Lambda::Function").values()]
    return [function for function in functions if "FunctionName" in function]


def only(template: Template, kind: str) -> dict[str, Any]:
    """Return the one resource of a type."""
    (resource,) = resources(template, kind).values()
    return resource


def resolved(template: Template, kind: str) -> Any:
    """Return the properties of the one resource of a type, with the values that are known only at deployment."""
    values = Resources(StackTemplate("stack", "stack", "555555555555", "us-east-1", template))
    (logical,) = values.of_type(kind)
    return values.resolve(values.properties(logical), logical)


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
