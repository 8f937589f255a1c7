"""The form of policy documents in which two documents are equal if AWS decides equally by their statements."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from access.inventory import Policy, Statement, as_list


def differences(expected: Policy, deployed: Policy) -> Iterator[str]:
    """Yield the statements that only one of two documents has. Order, spelling of lists and Sids do not count."""
    wanted = {normal(statement): statement for statement in _statements(expected)}
    found = {normal(statement): statement for statement in _statements(deployed)}
    missing = {key: statement for key, statement in wanted.items() if key not in found}
    more = {key: statement for key, statement in found.items() if key not in wanted}
    for statement in missing.values():
        sid = statement.get("Sid")
        if other := next((each for each in more.values() if sid and each.get("Sid") == sid), None):
            parts = _changed(statement, other)
            yield f"statement {_name(statement)} has another {' and '.join(parts)}: {_shown(other, parts)}"
            del more[normal(other)]
        else:
            yield f"statement {_name(statement)} is missing: {_shown(statement)}"
    for statement in more.values():
        yield f"statement {_name(statement)} is not in the template: {_shown(statement)}"


def normal(statement: Statement) -> str:
    """Return a text that is equal for statements of one meaning."""
    parts = {name: _part(name, value) for name, value in statement.items() if name != "Sid"}
    return json.dumps(parts, sort_keys=True)


def _part(name: str, value: Any) -> Any:
    match name:
        case "Action" | "NotAction":
            return sorted({str(action).lower() for action in as_list(value)})
        case "Resource" | "NotResource":
            return sorted(set(map(str, as_list(value))))
        case "Principal" | "NotPrincipal":
            principals = value if isinstance(value, dict) else {"AWS": value}
            return {kind: sorted({_principal(each) for each in as_list(found)}) for kind, found in principals.items()}
        case "Condition":
            return {
                operator: {key.lower(): sorted(map(_value, as_list(values))) for key, values in conditions.items()}
                for operator, conditions in value.items()
            }
        case _:
            return value


def _principal(value: Any) -> str:
    """Return an account's number for its root, which AWS writes for it."""
    return re.sub(r"^arn:[a-z-]+:iam::([0-9]{12}):root$", r"\1", str(value))


def _value(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _statements(policy: Policy) -> list[Statement]:
    return [statement for statement in as_list(policy.get("Statement", [])) if statement]


def _changed(one: Statement, other: Statement) -> list[str]:
    names = sorted({*one, *other} - {"Sid"})
    return [name for name in names if _part(name, one.get(name, {})) != _part(name, other.get(name, {}))]


def _name(statement: Statement) -> str:
    return str(statement.get("Sid") or f"without Sid ({statement.get('Effect')})")


def _shown(statement: Statement, parts: list[str] | None = None) -> str:
    shown = {name: value for name, value in statement.items() if name != "Sid" and (parts is None or name in parts)}
    return json.dumps(shown)
