"""Problems of the deployment file, and pydantic's errors as such problems."""

from __future__ import annotations

import re
from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NamedTuple, get_args

from pydantic import ValidationError

from stacks.deployment.model import Deployment
from stacks.deployment.subscriber import SubscriberConfig
from stacks.deployment.types import as_toml, tables


class Problem(NamedTuple):
    """A key, its value, and a text with the problem and the remedy. `value` is None for a missing key."""

    key: str
    value: object
    text: str

    def __str__(self) -> str:
        value = "" if self.value is None else f" = {as_toml(self.value)}"
        return f"{self.key}{value}: {self.text}"


class DeploymentError(ValueError):
    """An error that lists all problems of a deployment file, one a line, in `problems`."""

    def __init__(self, path: Path, problems: Iterable[Problem | str]) -> None:
        self.problems = [str(problem) for problem in problems]
        count = len(self.problems)
        lines = "".join(f"\n  - {problem}" for problem in self.problems)
        super().__init__(f"{path}: {count} problem{'s' * (count != 1)}{lines}")


_TABLES = tuple(tables(Deployment))
_HEADERS = {header.strip("[]"): header for header, _ in _TABLES}
_KINDS = {get_args(model.model_fields["kind"].annotation)[0]: model for model in get_args(SubscriberConfig)}
_KIND_NAMES = '"sqs", "lambda" or "https"'
_TEXTS = {
    "bool_type": "must be true or false.",
    "dict_type": "must be a table.",
    "greater_than_equal": "must be at least {ge}.",
    "int_type": "must be an integer.",
    "less_than_equal": "must be at most {le}.",
    "model_attributes_type": "must be a table.",
    "model_type": "must be a table.",
    "string_too_long": "must have {max_length} or fewer characters.",
    "string_too_short": "must have {min_length} or more characters.",
    "string_type": "must be text, in quotes.",
    "too_long": "must have {max_length} or fewer members.",
    "too_short": "must have {min_length} or more members.",
    "tuple_type": "must be an array.",
    "union_tag_invalid": f"must be {_KIND_NAMES}.",
    "union_tag_not_found": f"is missing. Use {_KIND_NAMES}.",
    "value_error": "{error}",
}


def invalid_values(error: ValidationError) -> list[Problem]:
    """Return pydantic's errors as problems."""
    return [_problem(detail) for detail in error.errors(include_url=False) if not _is_consequence(detail)]


def _is_consequence(detail: Any) -> bool:
    """Return whether an array is too short only because pydantic dropped invalid members, which it also reports."""
    return bool(detail["type"] == "too_short" and len(detail["input"]) >= detail["ctx"]["min_length"])


def _problem(detail: Any) -> Problem:
    key, value = _key(detail["loc"]), detail["input"]
    match detail["type"]:
        case "missing":
            header = _HEADERS.get(_without_indices(key))
            return Problem(key, None, f"is missing. Add {header or 'it'}.")
        case "union_tag_not_found":
            return Problem(f"{key}.kind", None, _TEXTS["union_tag_not_found"])
        case "union_tag_invalid":
            return Problem(f"{key}.kind", value["kind"], _TEXTS["union_tag_invalid"])
        case _:
            return Problem(key, value, _text(key, detail))


def _key(steps: tuple[int | str, ...]) -> str:
    """Return `users[0].email` for pydantic's location. Members of an array are counted from 0."""
    if steps[0] == "subscribers":
        steps = (*steps[:2], *steps[3:])  # without the kind, which pydantic inserts
    if steps[-1] == "[key]":
        steps = steps[:-2]  # a name in a table is the value, and the table is the key
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps).removeprefix(".")


def _without_indices(key: str) -> str:
    return re.sub(r"\[\d+\]", "", key)


def _text(key: str, detail: Any) -> str:
    table, value = _without_indices(key), detail["input"]
    header = _HEADERS.get(table, "")
    match detail["type"]:
        case "extra_forbidden":
            return _misplaced(*table.rpartition(".")[::2], value)
        case "model_type" if isinstance(value, list) and not header.startswith("[["):
            return f"must be one table. Write {header}, in single brackets."
        case "tuple_type" if isinstance(value, dict) and header:
            return f"must be an array of tables. Write {header}, in double brackets."
        case "string_type" if key.endswith("account"):
            return "must be the 12 digits of an AWS account id, in quotes."
        case "literal_error":
            return f"must be {detail['ctx']['expected']}.".replace("'", '"')
        case kind if kind in _TEXTS:
            return _TEXTS[kind].format_map(detail.get("ctx", {}))
        case _:
            return f"{re.sub('^[A-Z][a-z]+ should', 'must', detail['msg'])}."


def _misplaced(table: str, name: str, value: object) -> str:
    """Return the text for an unknown key of a table. It suggests the right place or a similar name."""
    kinds = [kind for kind, model in _KINDS.items() if name in model.model_fields]
    if table == "subscribers" and kinds:
        return f"is a key of kind = {' or '.join(as_toml(kind) for kind in kinds)} only. Remove it or change kind."
    return f"is not a key here. {_remedy(name, is_table=isinstance(value, dict))}"


def _remedy(name: str, *, is_table: bool) -> str:
    headers = [header for path, header in _HEADERS.items() if path.rpartition(".")[2] == name]
    if is_table and headers:
        below = " below its [[subscribers]] table" if headers[0].startswith("[subscribers.") else ""
        return f"Write {headers[0]}{below}."
    homes = dict.fromkeys(header or "the top of the file" for header, model in _TABLES if name in model.model_fields)
    if homes:
        return f"Move it to {' or '.join(homes)}."
    names = {name for _, model in _TABLES for name in model.model_fields}
    close = get_close_matches(name, names, n=1)
    return f"Rename it to {close[0]}, or remove it." if close else "Remove it."
