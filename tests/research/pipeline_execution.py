"""What SageMaker Pipelines makes of a definition: its steps' requests, with an execution's parameters filled in."""

import json
from collections.abc import Mapping
from typing import Any


class UnknownParameter(Exception):
    """An execution was given a parameter that the pipeline does not have; SageMaker refuses that too."""


def processing_jobs(
    definition: Mapping[str, Any], parameters: Mapping[str, Any], *, execution: str
) -> list[dict[str, Any]]:
    """The request to CreateProcessingJob of each step of kind Processing. execution: the execution's id.

    Knows what our definitions use: `Get` of parameters and of the execution's id, and `Std:Join`.

    Raises:
        UnknownParameter: names it and those that there are.
    """
    defaults = {each["Name"]: each["DefaultValue"] for each in definition["Parameters"]}
    if unknown := set(parameters) - set(defaults):
        raise UnknownParameter(f"{', '.join(sorted(unknown))}; there are {', '.join(defaults)}")
    known = {f"Parameters.{name}": value for name, value in {**defaults, **parameters}.items()}
    known["Execution.PipelineExecutionId"] = execution
    return [_filled(each["Arguments"], known) for each in definition["Steps"] if each["Type"] == "Processing"]


def _filled(value: Any, known: Mapping[str, Any]) -> Any:
    match value:
        case {"Get": str(name)}:
            return known[name]
        case {"Std:Join": {"On": str(separator), "Values": [*parts]}}:
            return separator.join(_text(_filled(part, known)) for part in parts)
        case dict():
            return {key: _filled(each, known) for key, each in value.items()}
        case list():
            return [_filled(each, known) for each in value]
    return value


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
