"""Write the tables of docs/deployment-file.md, and deployments/schema.json, from the models of the deployment file.

The schema is for editors: they complete and check keys of a file that begins with `#:schema ./schema.json`.
A comment precedes each table: `<!-- keys: PublisherConfig -->` for the keys that a model adds to its base, and
`<!-- pointer delays -->` for the delays of pointers.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Le, MaxLen, MinLen
from pydantic import TypeAdapter
from pydantic.fields import FieldInfo
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema
from typing_extensions import Doc

from stacks.deployment.load import MESSAGING_KEYS
from stacks.deployment.model import BaseDeployment, Deployment
from stacks.deployment.payload_lifetime import pointer_delays
from stacks.deployment.subscriber import (
    HttpsSubscriberConfig,
    LambdaSubscriberConfig,
    LandingConfig,
    SqsSubscriberConfig,
    SubscriberConfig,
)
from stacks.deployment.types import Table, as_toml, tables, tables_of

_ROOT = Path(__file__).parents[1]
PAGE = _ROOT / "docs" / "deployment-file.md"
SCHEMA = _ROOT / "deployments" / "schema.json"

_MARKER = re.compile(r"(<!-- (keys: \w+|pointer delays) -->\n)(?:\|.*\n)*")
_MODELS: dict[str, type[Table]] = {
    base.__name__: base for _, model in tables(Deployment) for base in model.__mro__ if issubclass(base, Table)
}


def render(page: str) -> str:
    """Return the page with its tables replaced."""
    return _MARKER.sub(lambda match: match[1] + "".join(f"| {' | '.join(row)} |\n" for row in _rows(match[2])), page)


def _rows(marker: str) -> Iterator[tuple[str, ...]]:
    if marker == "pointer delays":
        yield from _delays()
    else:
        yield from key_rows(_MODELS[marker.removeprefix("keys: ")])


def key_rows(model: type[Table]) -> Iterator[tuple[str, ...]]:
    """Yield the table of the keys that a model adds to its base, row by row."""
    yield "key", "type and limits", "default", "meaning"
    yield "---", "---", "---", "---"
    for name in model.__annotations__:
        field = model.model_fields.get(name)
        if field and not any(tables_of(field.annotation)):
            meaning = " ".join((field.description or "").split())
            yield f"`{name}`", _type(field.annotation, field.metadata), _default(field), meaning


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    default = field.get_default(call_default_factory=True, validated_data={})
    if default is None:
        return "see meaning" if "Default" in (field.description or "") else "none"
    return f"`{as_toml(default)}`"


def _type(annotation: Any, metadata: Iterable[Any] = ()) -> str:
    """Return type and limits of an annotation in words."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        inner = [part for item in arguments[1:] for part in (item.metadata if isinstance(item, FieldInfo) else [item])]
        return _type(arguments[0], [*inner, *metadata])
    if documented := [item.documentation for item in metadata if isinstance(item, Doc)]:
        return documented[0]
    if origin in (Union, UnionType):
        (argument,) = (argument for argument in arguments if argument is not type(None))
        return _type(argument, metadata)
    if origin is Literal:
        *values, last = (f"`{as_toml(value)}`" for value in arguments)
        return f"{', '.join(values)} or {last}" if values else last
    if origin is tuple:
        return f"array ({_type(arguments[0])}){_limits(metadata, ' members')}"
    if origin is dict:
        return f"table ({_type(arguments[1])})"
    nouns = {bool: "boolean", int: "integer", str: "text"}
    return nouns[annotation] + _limits(metadata, " characters" if annotation is str else "")


def _limits(metadata: Iterable[Any], unit: str) -> str:
    minimum: Any = None
    maximum: Any = None
    for item in metadata:
        match item:
            case Ge(ge=value) | MinLen(min_length=value):
                minimum = value
            case Le(le=value) | MaxLen(max_length=value):
                maximum = value
    if minimum is None and maximum is None:
        return ""
    if minimum is None:
        return f", up to {maximum}{unit}"
    return f", {minimum} or more{unit}" if maximum is None else f", {minimum} to {maximum}{unit}"


def _delays() -> Iterator[tuple[str, ...]]:
    yield "subscriber", "stages, each with its maximum in days", "sum"
    yield "---", "---", "---"
    for description, subscriber in _subscribers().items():
        delays = pointer_delays(subscriber)
        yield description, " + ".join(f"{stage} {days}" for stage, days in delays.items()), f"{sum(delays.values())}"


def _subscribers() -> dict[str, SubscriberConfig]:
    """Return subscribers with default retention, one of each sum."""
    keys: dict[str, Any] = {"name": "orders", "account": "222222222222", "region": "us-east-1"}
    return {
        "`sqs`": SqsSubscriberConfig(**keys, kind="sqs"),
        "`sqs` with `landing`": SqsSubscriberConfig(**keys, kind="sqs", landing=LandingConfig()),
        "`sqs` with `pipeline`": SqsSubscriberConfig(**keys, kind="sqs", pipeline="qc"),
        "`sqs` with both": SqsSubscriberConfig(**keys, kind="sqs", pipeline="qc", landing=LandingConfig()),
        "`lambda`": LambdaSubscriberConfig(**keys, kind="lambda"),
        "`https`": HttpsSubscriberConfig(**keys, kind="https", endpoint="https://hooks.example/in"),
    }


def schema() -> str:
    """Return the JSON schema of the deployment file."""
    content = TypeAdapter(Deployment).json_schema(schema_generator=_SchemaOfToml)
    # With a schema for each kind of file, an editor would report a wrong value as: neither fits the whole file.
    messaging = [{"required": [key]} for key in sorted(MESSAGING_KEYS)]
    content["required"] = [name for name, field in BaseDeployment.model_fields.items() if field.is_required()]
    content["anyOf"] = [
        {"required": ["publisher", "subscribers"]},
        {"required": ["research"], "not": {"anyOf": messaging}},
    ]
    return json.dumps({"$schema": "http://json-schema.org/draft-07/schema#", **content}, indent=1) + "\n"


class _SchemaOfToml(GenerateJsonSchema):
    """TOML has no null: a key without a default is absent. Titles would repeat the keys."""

    def nullable_schema(self, schema: core_schema.NullableSchema) -> JsonSchemaValue:
        return self.generate_inner(schema["schema"])

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        content = super().default_schema(schema)
        return {key: value for key, value in content.items() if key != "default" or isinstance(value, int | str)}

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002
        return False


if __name__ == "__main__":
    SCHEMA.write_text(schema(), encoding="utf-8")
    PAGE.write_text(render(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
