"""Generated mutants: each part of each statement broken, and each property of each resource."""

import copy
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from access.inventory import Inventory, ResourcePolicy, Role, as_list
from tests.policies.cases import OTHER_ACCOUNT, Node

OTHER_ROOT = f"arn:aws:iam::{OTHER_ACCOUNT}:root"
_INVERSE = {
    "StringEquals": "StringNotEquals",
    "StringNotEquals": "StringEquals",
    "StringLike": "StringNotLike",
    "ArnEquals": "ArnNotEquals",
    "ArnNotEquals": "ArnEquals",
    "ArnLike": "ArnNotLike",
}


@dataclass(frozen=True)
class Mutant:
    """A resource or a role with a broken statement in a policy."""

    name: str
    sound: ResourcePolicy | Role
    broken: ResourcePolicy | Role

    @property
    def inventory(self) -> Inventory:
        """An inventory of nothing else."""
        if isinstance(self.broken, Role):
            return Inventory(roles={self.broken.arn: self.broken})
        return Inventory(resource_policies={self.broken.arn: self.broken})


def statement_mutants(inventory: Inventory, seen: set[str]) -> Iterator[Mutant]:
    """Yield mutants of each statement: each part dropped, inverted, widened, narrowed or misspelt.

    `seen`: statements of other deployments, without names. Equal ones are omitted.
    """
    subjects: list[ResourcePolicy | Role] = [*inventory.resource_policies.values(), *inventory.roles.values()]
    for sound in subjects:
        kind = "own" if isinstance(sound, Role) else sound.kind
        stack = sound.where.partition("/")[0]
        for index, statement in enumerate(sound.statements):
            text = f"{kind} {statement}".replace(stack, "").replace(inventory.stacks[stack].stack.region, "")
            text = re.sub(r"[0-9]{12}|[0-9A-F]{8}|Users?-?[a-z]+|Build[a-z]+", "", text)
            if text in seen:
                continue
            seen.add(text)
            for description, change in _changes(statement, sound.account):
                changed = copy.deepcopy(statement)
                change(changed)
                assert changed != statement, description
                statements = [*sound.statements]
                statements[index] = changed
                policy = {"Version": "2012-10-17", "Statement": statements}
                broken = (
                    replace(sound, policies=(policy,)) if isinstance(sound, Role) else replace(sound, policy=policy)
                )
                name = statement.get("Sid", " ".join(as_list(statement.get("Action"))))
                yield Mutant(f"{sound.where} {kind} {name}: {description}", sound, broken)


_Change = tuple[str, Callable[[Node], object]]


def _changes(statement: Node, account: str) -> Iterator[_Change]:
    effect = "Deny" if statement["Effect"] == "Allow" else "Allow"
    yield effect, lambda s: s.update(Effect=effect)
    if "Principal" in statement:
        yield from _principal_changes(statement)
    # In the resource's own account, the callers' policies decide. A statement for the account changes no decision.
    if "Condition" in statement and statement.get("Principal") == {"AWS": f"arn:aws:iam::{account}:root"}:
        return
    yield "no statement", lambda s: s.update(Action="s3:NotInventedYet", Effect="Deny")
    yield from _action_changes(statement)
    if statement.get("Resource", "*") != "*":
        yield "another resource", lambda s: s.update(Resource=[f"{r}2" for r in as_list(s["Resource"])])
    if statement["Effect"] == "Allow" and statement.get("Resource", "*") != "*":
        yield "any resource", lambda s: s.update(Resource="*")
        yield "all other resources", lambda s: s.update(NotResource=s.pop("Resource"))
        if (widened := [_widened(resource) for resource in as_list(statement["Resource"])]) != as_list(
            statement["Resource"]
        ):
            yield "more below the resource", lambda s: s.update(Resource=widened)
    for operator, keys in statement.get("Condition", {}).items():
        for key in keys:
            yield from _condition_changes(operator, key, as_list(keys[key]), statement["Effect"] == "Allow")


def _action_changes(statement: Node) -> Iterator[_Change]:
    actions = as_list(statement["Action"])
    service = actions[0].partition(":")[0]
    if statement["Effect"] == "Allow":
        if statement["Action"] not in ("*", f"{service}:*"):
            yield "any action of the service", lambda s: s.update(Action=f"{service}:*")
            yield "all other actions", lambda s: s.update(NotAction=s.pop("Action"))
        if statement["Action"] != "*":
            yield "any action", lambda s: s.update(Action="*")
    for action in actions if len(actions) > 1 else ():
        yield f"without {action}", lambda s, a=action: s["Action"].remove(a)  # type: ignore[misc]


def _principal_changes(statement: Node) -> Iterator[_Change]:
    yield "another account", lambda s: s.update(Principal={"AWS": OTHER_ROOT})
    if statement["Effect"] == "Allow":
        if statement["Principal"] != "*":
            yield "any principal", lambda s: s.update(Principal="*")
            yield "all other principals", lambda s: s.update(NotPrincipal=s.pop("Principal"))
            yield "another service", lambda s: s.update(Principal={"Service": "ec2.amazonaws.com"})
            yield "an identity provider", lambda s: s.update(Principal={"Federated": "cognito-identity.amazonaws.com"})
        if isinstance(statement["Principal"], dict):
            yield (
                "another account too",
                lambda s: s["Principal"].update(AWS=[*as_list(s["Principal"].get("AWS", [])), OTHER_ROOT]),
            )


def _condition_changes(operator: str, key: str, values: list[str], allows: bool) -> Iterator[_Change]:
    def of(change: Callable[[Node], object]) -> Callable[[Node], object]:
        return lambda s: change(s["Condition"])

    yield f"without {key}", of(lambda c: c[operator].pop(key))
    yield f"{operator} misspelt", of(lambda c: c.update({f"{operator}s": c.pop(operator)}))
    if operator in _INVERSE:
        yield f"{operator} inverted", of(lambda c: c.setdefault(_INVERSE[operator], {}).update(c.pop(operator)))
    if operator in ("Bool", "Null"):
        yield (
            f"{operator} inverted",
            of(lambda c: c[operator].update({key: "false" if c[operator][key] == "true" else "true"})),
        )
    else:
        yield f"another value of {key}", of(lambda c: c[operator].update({key: "other"}))
        if not values[0].endswith("*"):  # which an additional value would match
            yield f"an additional value of {key}", of(lambda c: c[operator].update({key: [*values, f"{values[0]}2"]}))
    if allows and operator in ("StringEquals", "ArnEquals", "ArnLike"):
        like = operator.replace("Equals", "Like")
        yield f"{operator} if present", of(lambda c: c.update({f"{operator}IfExists": c.pop(operator)}))
        yield (
            f"any value of {key}",
            of(lambda c: c.setdefault(like, {}).update({key: "*"}) or _drop(c, operator, key, like)),
        )
        yield (
            f"more values of {key}",
            of(
                lambda c: (
                    c.setdefault(like, {}).update({key: [_widened(v) for v in as_list(c[operator][key])]})
                    or _drop(c, operator, key, like)
                )
            ),
        )


def _drop(condition: Node, operator: str, key: str, like: str) -> object:
    return condition[operator].pop(key) if like != operator else None


def _widened(pattern: str) -> str:
    """Return a pattern with more matches: `bucket/payloads*` for `bucket/payloads/*`."""
    return pattern.rstrip("*").rstrip("/:-") + "*"


# Properties ----------------------------------------------------------------------------------------------------------


def property_mutants(properties: Node) -> Iterator[tuple[tuple[Any, ...], Node]]:
    """Yield copies of properties with one value dropped, or replaced by another account's, and the value's path."""
    for path, value in values(properties):
        changed = copy.deepcopy(properties)
        parent = _at(changed, path[:-1])
        if isinstance(parent, dict):
            del parent[path[-1]]
            yield path, changed
        yield path, replaced(properties, path, _others(value))


def _others(value: Any) -> Any:
    """Return a value of the same type that is another account's."""
    match value:
        case bool():
            return not value
        case int() | float():
            return value + 1
        case str() if value.startswith("arn:"):
            return f"arn:aws:sns:us-east-1:{OTHER_ACCOUNT}:other"
        case str():
            return f"other-{value}"
        case list():
            return [*value, f"arn:aws:sns:us-east-1:{OTHER_ACCOUNT}:other"]
    return {**value, "Other": f"arn:aws:sns:us-east-1:{OTHER_ACCOUNT}:other"}


def replaced(node: Any, path: tuple[Any, ...], value: Any) -> Any:
    """Return a copy of a value with another value at a path."""
    changed = copy.deepcopy(node)
    _at(changed, path[:-1])[path[-1]] = value
    return changed


def values(node: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """Yield the values in a value, with their paths."""
    if path:
        yield path, node
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in items:
        yield from values(value, (*path, key))


def _at(node: Any, path: tuple[Any, ...]) -> Any:
    for step in path:
        node = node[step]
    return node
