"""The access matrix as a reviewer reads it: what the policies of a deployment's templates say, in Markdown.

It says what the templates say, statement by statement, and judges nothing: a change of any policy changes this text.
That there is no other way in, and that these ways are open, is what `tests/policies` proves.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby

from access.inventory import Concrete, Guarded, Statement

_INTRODUCTION = """\
# Who may do what: {source}

Written by `python -m cli access --deployment {source}`, not by hand, from the synthesized templates: it has every
statement of every policy. What no statement allows is refused, to everybody; what attacks that stops, and which tests
prove it, is in the [threat model](threat-model.md).
"""
_AT_A_GLANCE = """\
## At a glance: across accounts

Who, of another account than the owner's, may do what. A role is let in by its ARN, and needs its own account's
permission as well; so does everybody of an account that is let in as a whole.
"""
_NOBODY = "| anybody else, signed or not |"


def render(found: Concrete, source: str) -> str:
    """The document. `source` is the deployment file's name, for the heading."""
    grants = sorted(_grants(found), key=lambda grant: (grant.order, grant.of.arn, grant.who))
    crossing = [grant for grant in grants if grant.crosses]
    parts = [
        _INTRODUCTION.format(source=source),
        _AT_A_GLANCE,
        _glance(crossing),
        "## Every door\n\nStatements that let somebody in, by what they are attached to. `=` is one of, `~` is like.\n",
        *_doors(grants),
        "## Shut\n\nWhatever else is allowed, and to the owner's administrators too.\n",
        _table(("on", "refused", "when", "to"), _denials(found)),
        "## What each role is for\n\nIts own policies, and who takes it on. **Bold** is in another account.\n",
        *_roles(found),
    ]
    return "\n".join(parts)


@dataclass(frozen=True)
class _Grant:
    """One principal of one Allow statement of a resource's policy."""

    of: Guarded
    who: str
    account: str | None
    actions: tuple[str, ...]
    on: tuple[str, ...]
    when: str
    sid: str

    @property
    def crosses(self) -> bool:
        """An endpoint's policy lets nobody in: what goes through it still needs the permission of where it goes."""
        return self.account is not None and self.account != self.of.account and self.of.kind != "endpoint"

    @property
    def order(self) -> int:
        return _KINDS.index(self.of.kind)


_KINDS = ("bucket", "key", "topic", "bus", "queue", "function", "repository", "endpoint", "role")


def _grants(found: Concrete) -> Iterator[_Grant]:
    for guarded in found.guarded.values():
        for statement in guarded.policy["Statement"]:
            if statement["Effect"] == "Allow":
                for kind, principal in _principals(statement):
                    yield _grant(guarded, statement, kind, principal)


def _grant(guarded: Guarded, statement: Statement, kind: str, principal: str) -> _Grant:
    conditions = {op: dict(keys) for op, keys in statement.get("Condition", {}).items()}
    account = (re.findall(r"[0-9]{12}", principal) or ["*"])[0] if kind == "AWS" else None
    pinned = conditions.get("ArnEquals", {}).pop("aws:PrincipalArn", None)
    if kind != "AWS":
        who = f"`{principal}`"
    elif pinned:
        who = " and ".join(f"role `{_tail(arn)}`" for arn in _list(pinned)) + f" of {account}"
    elif ":role/" in principal:
        who = f"role `{_tail(principal)}` of {account}"
    else:
        who = "everybody" if account == "*" else f"account {account}"
    return _Grant(
        of=guarded,
        who=who,
        account=account,
        actions=tuple(_said(statement, "Action")),
        on=tuple(_said(statement, "Resource")),
        when=_when(conditions),
        sid=statement.get("Sid", ""),
    )


def _said(statement: Statement, element: str) -> list[str]:
    """What the statement says of `Action` or `Resource`."""
    return _list(statement.get(element)) + [f"all but {each}" for each in _list(statement.get(f"Not{element}"))]


def _principals(statement: Statement) -> Iterator[tuple[str, str]]:
    if "NotPrincipal" in statement:
        yield "AWS", f"everybody but {statement['NotPrincipal']}"
        return
    principal = statement["Principal"]
    for kind, values in (principal if isinstance(principal, dict) else {"AWS": principal}).items():
        for value in _list(values):
            yield kind, value


def _glance(crossing: list[_Grant]) -> str:
    places = list(dict.fromkeys(grant.of.arn for grant in crossing))
    titles = {grant.of.arn: f"{grant.of.kind} `{_tail(grant.of.arn)}`" for grant in crossing}
    rows = []
    for who in sorted({grant.who for grant in crossing}):
        cells = [
            "<br>".join(f"`{a}`" for g in crossing if (g.who, g.of.arn) == (who, place) for a in g.actions)
            for place in places
        ]
        rows.append((who, *cells))
    if not rows:
        return "Nobody of another account, for anything.\n"
    table = _table(("who", *(titles[place] for place in places)), rows)
    return table + _NOBODY + " — |" * len(places) + "\n"


def _doors(grants: list[_Grant]) -> Iterator[str]:
    on_resources = [grant for grant in grants if grant.of.kind != "role"]
    for (_, arn), some in groupby(on_resources, key=lambda grant: (grant.order, grant.of.arn)):
        of_one = list(some)
        yield f"### {of_one[0].of.kind.capitalize()} `{_tail(arn)}` of {of_one[0].of.account}\n"
        yield _table(
            ("who", "may", "on", "only when", "statement"),
            ((g.who, _codes(g.actions), _codes(_short(r, arn) for r in g.on), g.when, g.sid) for g in of_one),
        )


def _denials(found: Concrete) -> Iterator[tuple[str, ...]]:
    for guarded in found.guarded.values():
        for statement in guarded.policy["Statement"]:
            if statement["Effect"] == "Deny":
                whom = ", ".join("everybody" if who == "*" else who for _, who in _principals(statement))
                on = _codes(resource.rpartition(":")[2] for resource in _said(statement, "Resource"))
                yield on, _codes(_said(statement, "Action")), _when(statement.get("Condition", {})), whom


def _roles(found: Concrete) -> Iterator[str]:
    for role in found.roles.values():
        trusted = [
            f"{principal if kind != 'AWS' else _account(principal)}{_for(statement)}"
            for statement in found.guarded[role.arn].policy["Statement"]
            for kind, principal in _principals(statement)
        ]
        bounded = (
            f" May do no more than its permission boundary `{_tail(role.boundary)}` allows." if role.boundary else ""
        )
        yield f"### Role `{role.name}` of {role.account}\n\nTaken on by {', '.join(trusted)}.{bounded}\n"
        rows = [
            (
                ("" if statement["Effect"] == "Allow" else "**not** ") + _codes(_said(statement, "Action")),
                "<br>".join(_place(resource, role.account, found) for resource in _said(statement, "Resource")),
                _when(statement.get("Condition", {})),
            )
            for policy in role.policies
            for statement in policy["Statement"]
        ]
        yield _table(("may", "on", "only when"), rows)


def _account(principal: str) -> str:
    return "everybody" if principal == "*" else principal.replace("arn:aws:iam::", "").replace(":root", "")


def _for(statement: Statement) -> str:
    how = [action for action in _said(statement, "Action") if action != "sts:AssumeRole"]
    return (f" ({_codes(how)} too)" if how else "") + (
        f" when {_when(statement['Condition'])}" if "Condition" in statement else ""
    )


def _place(resource: str, account: str, found: Concrete) -> str:
    owner = resource.split(":")[4] if resource.startswith("arn:") else ""
    bucket = found.guarded.get(resource.split("/")[0])
    owner = owner or (bucket.account if bucket else "")
    return f"**`{resource}`**" if owner and owner != account else f"`{resource}`"


def _when(conditions: Mapping[str, Mapping[str, object]]) -> str:
    said = []
    for operator, keys in conditions.items():
        for key, values in keys.items():
            if operator == "Null":
                said.append(f"`{key}` is {'absent' if _list(values) == ['true'] else 'there'}")
            else:
                sign = _SIGNS.get(operator, operator)
                said.append(f"`{key}` {sign} " + ", ".join(f"`{value}`" for value in _list(values)))
    return "<br>".join(said)


_SIGNS = {
    **dict.fromkeys(("StringEquals", "ArnEquals", "Bool"), "="),
    **dict.fromkeys(("StringLike", "ArnLike"), "~"),
    "StringNotEquals": "is none of",
    "ForAnyValue:StringNotEquals": "has one that is none of",
}


def _table(heads: Iterable[str], rows: Iterable[tuple[str, ...]]) -> str:
    heads = tuple(heads)
    lines = [f"| {' | '.join(heads)} |", "|" + "---|" * len(heads)]
    lines += [f"| {' | '.join(cell or ' ' for cell in row)} |" for row in rows]
    return "\n".join(lines) + "\n"


def _codes(values: Iterable[str]) -> str:
    return ", ".join(f"`{value}`" for value in values)


def _short(resource: str, arn: str) -> str:
    return resource.removeprefix(arn).lstrip("/") if resource.startswith(f"{arn}/") else _tail(resource)


def _tail(arn: str) -> str:
    return re.split(r"[:/]", arn)[-1] if not arn.endswith("*") else arn


def _list(value: object) -> list[str]:
    return [str(each) for each in value] if isinstance(value, list) else [str(value)] if value else []
