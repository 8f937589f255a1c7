"""Building blocks of the deployment file's tables: the base model, arrays, and types that several tables use."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import date, datetime, time
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_args, get_origin
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    Strict,
    ValidationInfo,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema
from typing_extensions import Doc

from stacks.deployment.regions import known_regions

T = TypeVar("T")


class Table(BaseModel):
    """A table of the file: frozen, without unknown keys, and without conversion of values.

    A field's docstring is its text in docs/deployment-file.md.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, use_attribute_docstrings=True)


Array = Annotated[tuple[T, ...], Strict(False)]
"""An array of the file, as a tuple."""

FOLDER = "folder"
"""Key of the validation context: the deployment file's folder, which relative paths start from."""


def resolve_path(path: str, info: ValidationInfo) -> Path:
    """Return a path of the file, relative to the deployment file's folder."""
    return Path((info.context or {}).get(FOLDER, "."), path)


class pattern:  # noqa: N801 - used like a function
    """A validator that requires the whole text to match. The JSON schema has the pattern for editors."""

    def __init__(self, regex: str, message: str) -> None:
        self._regex, self._message = regex, message

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self._check, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {**handler(schema), "pattern": f"^({self._regex})$"}

    def _check(self, value: str) -> str:
        if not re.fullmatch(self._regex, value):
            raise ValueError(self._message)
        return value


def as_toml(value: Any) -> str:
    """Return a value as the deployment file writes it."""
    match value:
        case bool():
            return str(value).lower()
        case str():
            return json.dumps(value, ensure_ascii=False)
        case list() | tuple():
            return f"[{', '.join(map(as_toml, value))}]"
        case {} if not value:
            return "{}"
        case dict():
            return f"{{ {', '.join(f'{_as_key(key)} = {as_toml(member)}' for key, member in value.items())} }}"
        case date() | datetime() | time():
            return value.isoformat()
        case _:
            return str(value)


def _as_key(key: str) -> str:
    return key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else as_toml(key)


def _check_region(region: str) -> str:
    if region not in known_regions():
        raise ValueError("must be an AWS Region with SNS, such as us-east-1.")
    return region


_HOST = re.compile(r"([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


def _check_endpoint(url: str) -> str:
    """Reject a URL that SNS would reject or change."""
    if not re.fullmatch(r"[A-Za-z0-9:/?#\[\]@!$&'()*+,;=._~%-]{1,2000}", url):
        raise ValueError("must be a URL of at most 2,000 characters. Percent-encode special characters.")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError as error:
        raise ValueError(f"must be a URL: {error}.") from None
    if not url.startswith("https://"):
        raise ValueError("must begin with https://, so that messages are encrypted in transit.")
    if "@" in parts.netloc:
        raise ValueError("must not contain credentials: the URL is visible in policies.")
    if "#" in url:
        raise ValueError("must not have a fragment (#…): servers do not receive it.")
    if not _HOST.fullmatch(host):
        raise ValueError("must have a host of letters, digits, hyphens and dots. SNS rejects underscores.")
    if parts.netloc != host + (f":{port}" if port else ""):
        raise ValueError("must have its host in lower case, and a port as a plain number.")
    if _is_private(host):
        raise ValueError("must have a public host: SNS does not post to private addresses.")
    return url


def _is_private(host: str) -> bool:
    try:
        return not ip_address(host).is_global
    except ValueError:
        return f".{host}".endswith(".localhost")


def _check_unique(values: tuple[Any, ...]) -> tuple[Any, ...]:
    for index, value in enumerate(values):
        if value in values[:index]:
            raise ValueError(f"contains {as_toml(value)} twice. Remove the duplicate.")
    return values


Unique = AfterValidator(_check_unique)
"""Validator that rejects an array with duplicate members."""

Account = Annotated[
    str,
    pattern(r"[0-9]{12}", "must be the 12 digits of an AWS account id, in quotes."),
    Doc("account id"),
]
Region = Annotated[str, AfterValidator(_check_region), Doc("Region")]
Name = Annotated[
    str,
    pattern(
        r"[a-z][a-z0-9]*(-[a-z][a-z0-9]*)*",
        "must be lower-case words of letters and digits, joined by hyphens. Each begins with a letter.",
    ),
    Doc("lower-case words of letters and digits, joined by hyphens"),
]
Email = Annotated[str, pattern(r"[^@\s]+@[^@\s]+\.[^@\s]+", "must be an e-mail address."), Doc("e-mail address")]
WebAddress = Annotated[
    str,
    pattern(r"https?://[^\s#]{1,500}", "must be a URL without fragment, such as https://wiki.example.com/runbook."),
    Doc("URL"),
]
EndpointUrl = Annotated[str, AfterValidator(_check_endpoint), Doc("`https://` URL")]
RoleArn = Annotated[
    str,
    pattern(
        r"arn:aws[a-z-]*:iam::[0-9]{12}:role/([!-~]{1,510}/)?[A-Za-z0-9+=,.@_-]{1,64}",
        "must be the ARN of an IAM role, such as arn:aws:iam::111111111111:role/web.",
    ),
    Doc("role ARN"),
]
AvailabilityZone = Annotated[
    str,
    pattern(r"[a-z]+(-[a-z]+)+-[0-9]+[a-z]", "must be the name of an availability zone, such as us-east-1a."),
    Doc("availability zone"),
]
VpcId = Annotated[
    str, pattern(r"vpc-[0-9a-f]{8,17}", "must be a VPC id, such as vpc-0123456789abcdef0."), Doc("VPC id")
]
SubnetId = Annotated[
    str,
    pattern(r"subnet-[0-9a-f]{8,17}", "must be a subnet id, such as subnet-0123456789abcdef0."),
    Doc("subnet id"),
]
SecurityGroupId = Annotated[
    str,
    pattern(r"sg-[0-9a-f]{8,17}", "must be a security group id, such as sg-0123456789abcdef0."),
    Doc("security group id"),
]


def tables(model: type[Table], path: str = "", header: str = "") -> Iterator[tuple[str, type[Table]]]:
    """Yield header and model of a table and of the tables in it: `[publisher]`, `[[senders]]`, "" at the top."""
    yield header, model
    for name, field in model.model_fields.items():
        inner_path = f"{path}.{name}".removeprefix(".")
        inner_header = f"[[{inner_path}]]" if is_array(field.annotation) else f"[{inner_path}]"
        for inner in tables_of(field.annotation):
            yield from tables(inner, inner_path, inner_header)


def tables_of(annotation: Any) -> Iterator[type[Table]]:
    """Yield the models of tables in an annotation."""
    if isinstance(annotation, type) and issubclass(annotation, Table):
        yield annotation
    for argument in get_args(annotation):
        yield from tables_of(argument)


def is_array(annotation: Any) -> bool:
    """Return whether a key's value is an array."""
    return get_origin(annotation) is tuple or any(map(is_array, get_args(annotation)))
