"""The access report: every statement of a deployment's templates, in Markdown.

A change of a policy changes the report.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

from access.actions import regex
from access.inventory import ALL_EXCEPT, Inventory, ResourcePolicy, Role, Statement, as_list, principals

if TYPE_CHECKING:
    from access.prover import Counterexample

_INTRODUCTION = """\
# Access matrix of {source}

Made by `coatcheck access` from {origin}.

It contains every statement of every policy in the synthesized templates. Requests that no statement allows are denied,
except those of the owner's administrators, whose own policies are in no template. The threat model,
`docs/threat-model.md` of coatcheck's repository, lists the attacks that this prevents.

**{verdict}**
"""
_PROVED = "Findings: none. All policies and settings were read, and are proved to be the intended ones."
_BUCKETS = """\
## Access to objects

Roles whose own policies allow requests for objects, of the owner's account and of others. **Bold** roles are in another
account than the bucket: its policy must allow them too. Administrators of the owner's account also have access.
"""
_CROSS_ACCOUNT = """\
## Cross-account access

Actions that principals of another account than the resource's are allowed. They also need a permission in their own
account.
"""
_RESOURCE_POLICIES = """\
## Resource policies

Allow statements by resource. `=` means StringEquals, `~` means StringLike.
"""
_DENIED = """\
## Denied

Deny statements. They take precedence over all permissions, including those of the owner's administrators.
"""
_ROLES = """\
## Roles

The policies of each role, and the principals that assume it. **Bold** resources are in another account.
"""
_OTHERS = "| all other principals, and anonymous requests |"


def render(inventory: Inventory, source: str, *, origin: str = "the templates", findings: Sequence[str] = ()) -> str:
    """Return the report.

    Args:
        inventory: Roles and resource policies.
        source: Path of the deployment file, for the heading.
        origin: The file with the commit.
        findings: Findings, in the order of the report.
    """
    grants = sorted(_grants(inventory), key=lambda grant: (grant.order, grant.resource.arn, grant.principal))
    verdict = f"Findings: {len(findings)}. They are listed at the end." if findings else _PROVED
    parts = [
        _INTRODUCTION.format(source=source, origin=origin, verdict=verdict),
        _CROSS_ACCOUNT,
        _cross_account([grant for grant in grants if grant.crosses_accounts]),
        _BUCKETS,
        _table(("bucket", "role", "reads", "writes", "deletes"), _object_access(inventory)),
        _RESOURCE_POLICIES,
        *_resources(grants),
        _DENIED,
        _table(("resources", "actions", "conditions", "principals"), _denials(inventory)),
        _ROLES,
        *(_role(role, inventory) for role in inventory.roles.values()),
    ]
    if findings:
        parts += ["## Findings\n", "".join(f"- {_one_line(finding)}\n" for finding in findings)]
    return "\n".join(parts)


def render_broader(requests: Sequence["Counterexample"], since: str) -> str:
    """Return the requests that are permitted, and were not before."""
    rows = []
    for request in requests:
        values = dict(request.request)
        action, target, caller = (values.pop(name) for name in ("action", "resource", "caller"))
        context = "<br>".join(f"`{key}` = `{value}`" for key, value in values.items() if value not in ("", "(absent)"))
        rows.append((f"`{_last(request.arn)}`", f"`{action}`", f"`{target}`", caller, context))
    heads = ("policy of", "action", "resource", "caller", "for example with")
    return f"# Permitted more than in {since}\n\n{_table(heads, rows) if rows else 'Nothing.'}\n"


def render_resource(inventory: Inventory, name: str) -> str:
    """Return the principals and roles that can reach the resources whose ARN contains a name."""
    arns = [arn for arn in (*inventory.resource_policies, *inventory.other_resources) if name in arn]
    grants = [grant for grant in _grants(inventory) if grant.resource.arn in arns]
    rows = [
        (grant.principal, _codes(grant.actions), _codes(grant.resources), grant.conditions, "the resource's policy")
        for grant in grants
    ]
    rows += [
        (
            f"role `{role.name}` of {role.account}",
            ("" if statement["Effect"] == "Allow" else "**denied:** ") + _codes(_values(statement, "Action")),
            _codes(_values(statement, "Resource")),
            _conditions(statement.get("Condition", {})),
            "the role's own policy",
        )
        for role in inventory.roles.values()
        for statement in role.statements
        if any(_is_about(statement, arn) for arn in arns)
    ]
    found = _codes(arns) or "no resource"
    note = "Another account needs both policies. Administrators of the owner's account also have access.\n"
    heads = ("who", "actions", "resources", "conditions", "by")
    return f"# Access to {found}\n\n{note}\n{_table(heads, rows)}"


def _is_about(statement: Statement, arn: str) -> bool:
    services = {action.partition(":")[0] for action in as_list(statement.get("Action", "*"))}
    resources = as_list(statement.get("Resource", "*"))
    return bool(services & {"*", arn.split(":")[2]}) and any(_covers(pattern, arn) for pattern in resources)


def _covers(pattern: str, arn: str) -> bool:
    """Return whether a pattern of a statement matches a resource, or something below it."""
    return pattern.startswith((f"{arn}/", f"{arn}:")) or bool(regex(pattern).fullmatch(arn))


_OBJECT_ACTIONS = {"reads": "s3:GetObject", "writes": "s3:PutObject", "deletes": "s3:DeleteObject"}


def _object_access(inventory: Inventory) -> Iterator[tuple[str, ...]]:
    """Yield the roles with access to objects of each bucket, with the keys that they read, write and delete."""
    for bucket in (resource for resource in inventory.resource_policies.values() if resource.kind == "bucket"):
        for role in inventory.roles.values():
            keys: dict[str, list[str]] = {column: [] for column in _OBJECT_ACTIONS}
            for statement in (statement for statement in role.statements if statement["Effect"] == "Allow"):
                objects = [
                    _within(value, bucket.arn)
                    for value in _values(statement, "Resource")
                    if value == "*" or value.startswith(f"{bucket.arn}/")
                ]
                for column, action in _OBJECT_ACTIONS.items():
                    if any(_covers(pattern, action) for pattern in as_list(statement.get("Action"))):
                        keys[column] += objects
            if any(keys.values()):
                name = f"`{role.name}` of {role.account}"
                strong = "**" if role.account != bucket.account else ""
                yield (
                    f"`{_last(bucket.arn)}`",
                    f"{strong}{name}{strong}",
                    *(_codes(sorted({*k})) for k in keys.values()),
                )


def _one_line(text: str) -> str:
    return "; ".join(line.strip() for line in text.splitlines())


@dataclass(frozen=True)
class _Grant:
    """A principal of an Allow statement of a resource policy."""

    resource: ResourcePolicy
    principal: str
    account: str | None
    actions: tuple[str, ...]
    resources: tuple[str, ...]
    conditions: str
    sid: str

    @property
    def crosses_accounts(self) -> bool:
        """Whether the principal is of another account.

        Not for the policy of a VPC endpoint: requests through it also need a permission of their target.
        """
        return self.account is not None and self.account != self.resource.account and self.resource.kind != "endpoint"

    @property
    def order(self) -> int:
        return _KINDS.index(self.resource.kind)


_KINDS = ("bucket", "key", "topic", "bus", "queue", "function", "repository", "endpoint", "role")


def _grants(inventory: Inventory) -> Iterator[_Grant]:
    for resource in inventory.resource_policies.values():
        for statement in resource.statements:
            if statement["Effect"] == "Allow":
                for kind, principal in principals(statement):
                    yield _grant(resource, statement, kind, principal)


def _grant(resource: ResourcePolicy, statement: Statement, kind: str, principal: str) -> _Grant:
    conditions = {operator: dict(keys) for operator, keys in statement.get("Condition", {}).items()}
    account = (re.findall(r"[0-9]{12}", principal) or ["*"])[0] if kind == "AWS" else None
    roles = conditions.get("ArnEquals", {}).pop("aws:PrincipalArn", None)
    if kind != "AWS" or principal.startswith(ALL_EXCEPT):
        text = f"`{principal}`"
    elif roles:
        text = " and ".join(f"role `{_last(arn)}`" for arn in as_list(roles)) + f" of {account}"
    elif ":role/" in principal:
        text = f"role `{_last(principal)}` of {account}"
    else:
        text = "all principals" if account == "*" else f"account {account}"
    return _Grant(
        resource=resource,
        principal=text,
        account=account,
        actions=tuple(_values(statement, "Action")),
        resources=tuple(_values(statement, "Resource")),
        conditions=_conditions(conditions),
        sid=statement.get("Sid", ""),
    )


def _values(statement: Statement, element: str) -> list[str]:
    """Return the values of `Action` or `Resource`, and those of `NotAction` or `NotResource`."""
    return as_list(statement.get(element)) + [
        f"all except {value}" for value in as_list(statement.get(f"Not{element}"))
    ]


def _cross_account(grants: list[_Grant]) -> str:
    arns = list(dict.fromkeys(grant.resource.arn for grant in grants))
    titles = {grant.resource.arn: f"{grant.resource.kind} `{_last(grant.resource.arn)}`" for grant in grants}
    rows = []
    for principal in sorted({grant.principal for grant in grants}):
        cells = [
            "<br>".join(
                f"`{action}`"
                for grant in grants
                if (grant.principal, grant.resource.arn) == (principal, arn)
                for action in grant.actions
            )
            for arn in arns
        ]
        rows.append((principal, *cells))
    if not rows:
        return "Principals of other accounts have no access.\n"
    return _table(("principal", *(titles[arn] for arn in arns)), rows) + _OTHERS + " — |" * len(arns) + "\n"


def _resources(grants: list[_Grant]) -> Iterator[str]:
    of_resources = [grant for grant in grants if grant.resource.kind != "role"]
    for (_, arn), group in groupby(of_resources, key=lambda grant: (grant.order, grant.resource.arn)):
        own = list(group)
        resource = own[0].resource
        yield f"### {resource.kind.capitalize()} `{_last(arn)}` of {resource.account}\n"
        rows = (
            (
                grant.principal,
                _codes(grant.actions),
                _codes(_within(value, arn) for value in grant.resources),
                grant.conditions,
                grant.sid,
            )
            for grant in own
        )
        yield _table(("principal", "actions", "resources", "conditions", "statement"), rows)


def _denials(inventory: Inventory) -> Iterator[tuple[str, ...]]:
    for resource in inventory.resource_policies.values():
        for statement in resource.statements:
            if statement["Effect"] == "Deny":
                yield (
                    _codes(value.rpartition(":")[2] for value in _values(statement, "Resource")),
                    _codes(_values(statement, "Action")),
                    _conditions(statement.get("Condition", {})),
                    ", ".join("all principals" if name == "*" else name for _, name in principals(statement)),
                )


def _role(role: Role, inventory: Inventory) -> str:
    trusted = [
        f"{principal if kind != 'AWS' else _account(principal)}{_trust_conditions(statement)}"
        for statement in inventory.resource_policies[role.arn].statements
        for kind, principal in principals(statement)
    ]
    boundary = f" Its permissions boundary is `{_last(role.boundary)}`." if role.boundary else ""
    rows = [
        (
            ("" if statement["Effect"] == "Allow" else "**denied:** ") + _codes(_values(statement, "Action")),
            "<br>".join(_target(value, role.account, inventory) for value in _values(statement, "Resource")),
            _conditions(statement.get("Condition", {})),
        )
        for statement in role.statements
    ]
    heading = f"### Role `{role.name}` of {role.account}\n\nAssumed by {', '.join(trusted)}.{boundary}\n"
    return f"{heading}\n{_table(('actions', 'resources', 'conditions'), rows)}"


def _account(principal: str) -> str:
    return "all principals" if principal == "*" else principal.replace("arn:aws:iam::", "").replace(":root", "")


def _trust_conditions(statement: Statement) -> str:
    others = [action for action in _values(statement, "Action") if action != "sts:AssumeRole"]
    also = f" (also {_codes(others)})" if others else ""
    return also + (f" if {_conditions(statement['Condition'])}" if "Condition" in statement else "")


def _target(resource: str, account: str, inventory: Inventory) -> str:
    owner = resource.split(":")[4] if resource.startswith("arn:") else ""
    bucket = inventory.resource_policies.get(resource.split("/")[0])
    owner = owner or (bucket.account if bucket else "")
    resource = re.sub(r"[0-9a-f]{64}", "(hash of one asset)", resource)
    return f"**`{resource}`**" if owner and owner != account else f"`{resource}`"


_OPERATORS = {
    **dict.fromkeys(("StringEquals", "ArnEquals", "Bool"), "="),
    **dict.fromkeys(("StringLike", "ArnLike"), "~"),
    "StringNotEquals": "is none of",
    "ForAnyValue:StringNotEquals": "has a value other than",
}


def _conditions(conditions: Mapping[str, Mapping[str, object]]) -> str:
    texts = []
    for operator, keys in conditions.items():
        for key, values in keys.items():
            if operator == "Null":
                texts.append(f"`{key}` is {'absent' if as_list(values) == ['true'] else 'present'}")
            else:
                texts.append(f"`{key}` {_OPERATORS.get(operator, operator)} {_codes(as_list(values))}")
    return "<br>".join(texts)


def _table(heads: Iterable[str], rows: Iterable[tuple[str, ...]]) -> str:
    heads = tuple(heads)
    lines = [f"| {' | '.join(heads)} |", "|" + "---|" * len(heads)]
    lines += [f"| {' | '.join(cell or ' ' for cell in row)} |" for row in rows]
    return "\n".join(lines) + "\n"


def _codes(values: Iterable[str]) -> str:
    return ", ".join(f"`{value}`" for value in values)


def _within(resource: str, arn: str) -> str:
    return resource.removeprefix(arn).lstrip("/") if resource.startswith(f"{arn}/") else _last(resource)


def _last(arn: str) -> str:
    return re.split(r"[:/]", arn)[-1] if not arn.endswith("*") else arn
