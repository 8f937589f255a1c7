"""What the tables of a deployment file are made of: frozen models, and the types of values that several of them use."""

from __future__ import annotations

import re
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationInfo

from stacks.deployment.regions import known_regions

FOLDER = "folder"
"""Key of the validation context: the folder of the deployment file, from which its paths begin."""


def from_folder(path: str, info: ValidationInfo) -> Path:
    """Return a path of the file, relative to the folder that the file is in."""
    return Path((info.context or {}).get(FOLDER, "."), path)


class Table(BaseModel):
    """A table of the file: frozen, its keys known, its values taken as they are."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


def matches(pattern: str, what: str) -> AfterValidator:
    """Refuses a text that is not, as a whole, of the pattern; `what` says what it must be."""

    def check(value: str) -> str:
        if not re.fullmatch(pattern, value):
            raise ValueError(what)
        return value

    return AfterValidator(check)


def _known(region: str) -> str:
    if region not in known_regions():
        raise ValueError("is not an AWS Region with SNS (such as us-east-1)")
    return region


_HOST = re.compile(r"([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


def _posted_to(url: str) -> str:
    """Refuses what SNS would not post to, or not as it is written."""
    if not re.fullmatch(r"[A-Za-z0-9:/?#\[\]@!$&'()*+,;=._~%-]{1,2000}", url):
        raise ValueError("must be a URL of at most 2,000 characters, all but the plain ones percent-encoded")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError as error:
        raise ValueError(f"must be a URL: {error}") from None
    if not url.startswith("https://"):
        raise ValueError("must begin with https://; messages do not travel in the clear")
    if "@" in parts.netloc:
        raise ValueError("must not hold a user or a password: it stands in policies for many to read")
    if "#" in url:
        raise ValueError("must not have a fragment (#…); a server never sees it")
    if not _HOST.fullmatch(host):
        raise ValueError("must name a host: letters, digits, hyphens and dots (SNS refuses underscores)")
    if parts.netloc != host + (f":{port}" if port else ""):
        raise ValueError("must write its host in lower case, and a port as a plain number")
    if _is_private(host):
        raise ValueError("must name a host that the internet reaches: SNS posts to no private address")
    return url


def _is_private(host: str) -> bool:
    try:
        return not ip_address(host).is_global
    except ValueError:
        return f".{host}".endswith(".localhost")


HttpsUrl = Annotated[str, AfterValidator(_posted_to)]
RoleArn = Annotated[
    str,
    matches(
        r"arn:aws(-cn|-us-gov)?:iam::[0-9]{12}:role/([!-~]{1,510}/)?[A-Za-z0-9+=,.@_-]{1,64}",
        "must be the ARN of an IAM role, such as arn:aws:iam::111111111111:role/web",
    ),
]
Account = Annotated[str, matches(r"[0-9]{12}", "must be the 12 digits of an AWS account id, in quotes")]
Region = Annotated[str, AfterValidator(_known)]
Name = Annotated[
    str,
    matches(r"[a-z][a-z0-9]*(-[a-z][a-z0-9]*)*", "must be lower-case words of letters and digits joined by hyphens"),
]
VpcId = Annotated[str, matches(r"vpc-[0-9a-f]{8,17}", "must be the id of a VPC, such as vpc-0123456789abcdef0")]
SubnetId = Annotated[
    str, matches(r"subnet-[0-9a-f]{8,17}", "must be the id of a subnet, such as subnet-0123456789abcdef0")
]
SecurityGroupId = Annotated[
    str, matches(r"sg-[0-9a-f]{8,17}", "must be the id of a security group, such as sg-0123456789abcdef0")
]
Email = Annotated[str, matches(r"[^@\s]+@[^@\s]+\.[^@\s]+", "must be an e-mail address")]


def _named_once(names: tuple[str, ...]) -> tuple[str, ...]:
    if len(set(names)) < len(names):
        raise ValueError("has one of them twice; name each once")
    return names


NamedOnce = AfterValidator(_named_once)
"""Refuses a list that has a member twice."""
