"""Check if a filter policy can match a message at all, from each entry point: bus, outbox and library.

A misspelt name or value is valid for SNS, which then delivers nothing, without an error.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from claim_check import RESERVED_ATTRIBUTES
from stacks.deployment.model import Deployment
from stacks.deployment.publisher import RESERVED_METADATA
from stacks.deployment.sender import PUBLISHERS_OWN

UPLOAD_SOURCE = "outbox"
_name = re.compile(r"(?!\.)(?!.*\.\.)[A-Za-z0-9_.-]{1,256}(?<!\.)")
_metadata_name = re.compile(r"[a-z0-9_.-]+")  # S3 lower-cases names


@dataclass(frozen=True)
class Attribute:
    """The possible values of an attribute of an entry point's messages. `values` is None if any value is possible."""

    values: Collection[str] | None = None
    excluded: re.Pattern[str] | None = None
    """Values that are not possible."""
    optional: bool = False


_ABSENT = Attribute(values=(), optional=True)
_ANY = Attribute(optional=True)


def reaching(deployment: Deployment, policy: str) -> Iterator[str]:
    """Yield the entry points with a message that the filter policy could match: "bus", "outbox", "library"."""
    parsed = json.loads(policy)
    for entry_point, attribute in (("bus", _bus), ("outbox", _outbox), ("library", _library)):
        if _can_match(parsed, lambda name, of=attribute: of(deployment, name)):
            yield entry_point


def matches(policy: str, attributes: Mapping[str, str]) -> bool:
    """Return whether a filter policy matches a message with these attributes, all of them text."""
    present = {name: Attribute(values=(value,)) for name, value in attributes.items()}
    return _can_match(json.loads(policy), lambda name: present.get(name, _ABSENT))


def _bus(deployment: Deployment, name: str) -> Attribute:
    match name:
        case "source":
            return Attribute(excluded=re.compile(r"(?i:outbox)|aws\.(?!partner/).*"))
        case "detail-type":
            return Attribute(values=deployment.publisher.detail_types or None)
        case "account":
            return Attribute(values=_accounts(deployment))
        case "time":
            return Attribute()
        case "resources":
            return _ANY
    return _ABSENT


def _outbox(deployment: Deployment, name: str) -> Attribute:
    chosen = deployment.publisher.outbox.attributes
    match name:
        case "source":
            # Without offloading, uploads are refused.
            return Attribute(values=() if deployment.publisher.offload == "never" else (UPLOAD_SOURCE,))
        case "outbox-key":
            return Attribute()
        case "account":
            return Attribute(values=_accounts(deployment))
        case "sender":
            return Attribute(values=(PUBLISHERS_OWN, *(sender.name for sender in deployment.senders)))
        case "metadata" | "content-type" | "content-encoding":
            return _ANY
    own = name in chosen if chosen else bool(_metadata_name.fullmatch(name)) and name not in RESERVED_METADATA
    return _ANY if own else _ABSENT


def _library(_: Deployment, name: str) -> Attribute:
    is_callers = _name.fullmatch(name) and not name.lower().startswith(("aws.", "amazon."))
    return _ANY if is_callers or name in RESERVED_ATTRIBUTES else _ABSENT


def _accounts(deployment: Deployment) -> set[str]:
    return {deployment.publisher.account, *(sender.account for sender in deployment.senders)}


def _can_match(policy: Mapping[str, Any], attribute: Any) -> bool:
    return all(
        any(_can_match(alternative, attribute) for alternative in value)
        if name == "$or" and all(isinstance(each, dict) for each in value)
        else any(_rule_can_match(rule, attribute(name)) for rule in value)
        for name, value in policy.items()
    )


def _rule_can_match(rule: Any, attribute: Attribute) -> bool:
    if isinstance(rule, dict) and "exists" in rule:
        is_possible = attribute.values is None or bool(attribute.values)
        return is_possible if rule["exists"] else attribute.optional
    if attribute.values is not None:
        return any(_matches(rule, value) for value in attribute.values)
    if rule == "":  # SNS accepts no attribute with an empty value
        return False
    return not (isinstance(rule, str) and attribute.excluded and attribute.excluded.fullmatch(rule))


def _matches(rule: Any, value: str) -> bool:
    """Return whether a rule matches a text."""
    match rule:
        case {"prefix": str(text)}:
            return value.startswith(text)
        case {"suffix": str(text)}:
            return value.endswith(text)
        case {"equals-ignore-case": str(text)}:
            return value.casefold() == text.casefold()
        case {"wildcard": str(text)}:
            return fnmatchcase(value, text.replace("[", "[[]").replace("?", "[?]"))
        case {"anything-but": [*rules]}:
            return value not in rules
        case {"anything-but": dict(inner)}:
            return not _matches(inner, value)
        case {"anything-but": other}:
            return bool(value != other)
    return bool(value == rule)
