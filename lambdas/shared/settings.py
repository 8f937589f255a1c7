"""Settings of a function: a dataclass that its stack writes as environment variables and its handler reads."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Self, get_type_hints

from claim_check import Store


class InvalidSettings(ValueError):
    """An environment variable of a function is missing or cannot be used."""


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


class Properties(dict[str, Any]):
    """The properties of a custom resource. A missing one raises InvalidSettings, which CloudFormation shows."""

    def __missing__(self, name: str) -> Any:
        raise InvalidSettings(f"{name}: the custom resource has no such property. Deploy its stack again.")


_READERS: Mapping[Any, Any] = {
    int: int,
    Store: lambda text: Store.from_dict(json.loads(text)),
    tuple[Store, ...]: lambda text: tuple(map(Store.from_dict, json.loads(text))),
    tuple[str, ...]: lambda text: tuple(json.loads(text)),
    Mapping[str, str]: json.loads,
    Mapping[str, Any]: json.loads,
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
