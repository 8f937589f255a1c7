"""The requests that SageMaker makes from a pipeline definition, with an execution's parameters filled in."""

import json
from collections.abc import Mapping
from typing import Any


class UnknownParameter(Exception):
    """The pipeline does not have a parameter of the execution. SageMaker rejects such an execution too."""


def processing_jobs(
    definition: Mapping[str, Any], parameters: Mapping[str, Any], *, execution: str
) -> list[dict[str, Any]]:
    """Return the request to CreateProcessingJob of each step of type Processing.

    Supports the functions that the project's definitions use: `Get` and `Std:Join`.

    Args:
        definition: The pipeline definition.
        parameters: The execution's parameters.
        execution: The execution's id.

    Raises:
        UnknownParameter: The definition does not have one of the parameters.
    """
    defaults = {parameter["Name"]: parameter["DefaultValue"] for parameter in definition["Parameters"]}
    if unknown := set(parameters) - set(defaults):
        raise UnknownParameter(f"{', '.join(sorted(unknown))}: not in {', '.join(defaults)}")
    values = {f"Parameters.{name}": value for name, value in {**defaults, **parameters}.items()}
    values["Execution.PipelineExecutionId"] = execution
    return [_resolve(step["Arguments"], values) for step in definition["Steps"] if step["Type"] == "Processing"]


def _resolve(node: Any, values: Mapping[str, Any]) -> Any:
    match node:
        case {"Get": str(name)}:
            return values[name]
        case {"Std:Join": {"On": str(separator), "Values": [*parts]}}:
            return separator.join(_text(_resolve(part, values)) for part in parts)
        case dict():
            return {key: _resolve(value, values) for key, value in node.items()}
        case list():
            return [_resolve(value, values) for value in node]
    return node


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
