"""Settings of a function: a dataclass that its stack writes, and its handler reads.

They are environment variables, or the properties of a custom resource.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any, Self, get_type_hints

from claim_check import Store


class InvalidSettings(ValueError):
    """An environment variable or a property is missing or cannot be used."""


@dataclass(frozen=True, kw_only=True)
class EnvironmentSettings:
    """The base of each function's `Settings`. A field `payload_store` is the variable `PAYLOAD_STORE`.

    A field is a `str`, an `int`, a `Store`, a tuple of stores or texts, or a mapping. The values of the last three are
    JSON.
    """

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Self:
        """Read the settings. Raises InvalidSettings, which names the variable."""
        types = get_type_hints(cls)
        return cls(**{field.name: _read(environment, field.name.upper(), types[field.name]) for field in fields(cls)})

    def to_environment(self) -> dict[str, str]:
        """Return the variables of the function's environment."""
        return {field.name.upper(): _text(getattr(self, field.name)) for field in fields(self)}


@dataclass(frozen=True, kw_only=True)
class PropertySettings:
    """The base of the settings of a custom resource. A field `domain_id` is the property `DomainId`.

    A field is a `str`, an `int`, a `bool`, a tuple of texts, or a mapping, whose value is JSON. CloudFormation passes
    numbers and booleans as texts.
    """

    @classmethod
    def from_properties(cls, properties: Mapping[str, Any]) -> Self:
        """Read the settings. Raises InvalidSettings, which names a missing property. CloudFormation shows it."""
        types, values = get_type_hints(cls), {}
        for name, property_name in cls._names().items():
            if property_name not in properties:
                raise InvalidSettings(
                    f"{property_name}: the custom resource has no such property. Deploy its stack again."
                )
            values[name] = _PROPERTY_READERS[types[name]](properties[property_name])
        return cls(**values)

    def to_properties(self, to_json: Callable[[Any], str] = json.dumps) -> dict[str, Any]:
        """Return the properties. `to_json` is the stack's, for values that are known only during its deployment."""
        return {property_name: _property(getattr(self, name), to_json) for name, property_name in self._names().items()}

    @classmethod
    def _names(cls) -> dict[str, str]:
        return {field.name: "".join(map(str.capitalize, field.name.split("_"))) for field in fields(cls)}


_READERS: Mapping[Any, Any] = {
    int: int,
    Store: lambda text: Store.from_dict(json.loads(text)),
    tuple[Store, ...]: lambda text: tuple(map(Store.from_dict, json.loads(text))),
    tuple[str, ...]: lambda text: tuple(json.loads(text)),
    Mapping[str, str]: json.loads,
    Mapping[str, Any]: json.loads,
}
_PROPERTY_READERS: Mapping[Any, Any] = {
    str: str,
    int: int,
    bool: "true".__eq__,
    tuple[str, ...]: tuple,
    Mapping[str, str]: json.loads,
}


def _read(environment: Mapping[str, str], name: str, type_: Any) -> Any:
    if name not in environment:
        raise InvalidSettings(f"{name}: is not set. Deploy the function's stack, which sets it.")
    try:
        return _READERS.get(type_, str)(environment[name])
    except ValueError as error:
        raise InvalidSettings(f"{name} = {environment[name]!r}: cannot be read: {error}") from error


def _text(value: object) -> str:
    return str(value) if isinstance(value, str | int) else json.dumps(value, default=Store.to_dict)


def _property(value: Any, to_json: Callable[[Any], str]) -> Any:
    match value:
        case str():
            return value
        case tuple():
            return list(value)
        case bool() | int():
            return str(value).lower()
    return to_json(value)
