"""Proves with z3 that a policy lets through what the statement of intent says, and nothing else.

All requests are asked about at once: a request is a set of unknowns (who, which object, what context), a policy and the
intent are formulas over them, and the solver looks for a request on which they differ. It finds one, which is printed,
or proves that there is none; if it can do neither, that is a failure too (`Undecided`).

The unknowns are freer than AWS is (any string may be an account, any context key may be absent), so that nothing is
proved by an assumption. ARNs are compared component by component, as AWS does.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import z3  # type: ignore[import-untyped]

from access.inventory import Policy, ResourcePolicy, Role, Statement
from tests.policies.actions import matches, regex, representatives
from tests.policies.terms import Account, Door, Everybody, Guard, Like, May, Named, Roles, Service, When, Who

_timeout_ms: ContextVar[int] = ContextVar("timeout", default=20_000)


@contextmanager
def patience(seconds: float) -> Iterator[None]:
    """Within, the solver gives up on a question after so long."""
    token = _timeout_ms.set(int(seconds * 1000))
    try:
        yield
    finally:
        _timeout_ms.reset(token)


class Undecided(AssertionError):
    """The solver could neither find a counterexample nor exclude one."""


class Unmodelled(ValueError):
    """A policy says something that the prover does not know. Teach it, or the proof would leave it out."""


@dataclass(frozen=True)
class Counterexample:
    """A request on which policy and intent differ."""

    guarded: str
    lets_in: bool
    """True: the policy lets it through and the intent does not. False: the other way round."""
    request: Mapping[str, str]

    def __str__(self) -> str:
        verdict = "is let through, against the intent" if self.lets_in else "is refused, against the intent"
        lines = [f"{self.guarded}: this request {verdict}", *(f"    {k} = {v}" for k, v in self.request.items())]
        return "\n".join(lines)


def prove_guard(guarded: ResourcePolicy, guard: Guard) -> Iterator[Counterexample]:
    """Counterexamples to "the policy of this thing opens the doors of the intent, and no other". None: proved."""
    statements = guarded.policy["Statement"]
    services = _SERVICES.get(guarded.kind, (guarded.arn.split(":")[2],))
    said = [door.may for door in guard.doors] + [guard.over_tls] + [(action,) for action, _, _ in guard.only]
    patterns = [p for s in statements for p in _patterns_of_actions(s)] + [p for each in said for p in each]
    resources = _Resources(
        [p for s in statements for p in _patterns_of_resources(s)] + [p for door in guard.doors for p in door.on],
        within=None if guarded.kind == "endpoint" else guarded.arn,
        parts=guarded.kind == "bucket",
    )
    for action in representatives(patterns, services):
        if services and action.partition(":")[0] not in services:
            continue  # another service's action is never asked of this policy
        request = _Request(action, resources)
        actual = _ceiling(request, statements, guard)
        meant = _meant(request, guard)
        yield from _differences(guarded.arn, request, actual, meant)


_SERVICES: dict[str, tuple[str, ...]] = {"role": ("sts",), "endpoint": ()}
"""Whose actions are asked of a policy, where it is not the service in the ARN; of an endpoint's, anybody's."""


def prove_role(role: Role, jobs: Iterable[May]) -> Iterator[Counterexample]:
    """Counterexamples to "the policies of this role allow what it is for, and nothing else, and its permission boundary
    takes nothing of that away". None: proved."""
    jobs = tuple(jobs)
    if role.boundary and not role.bounds:
        raise Unmodelled(f"{role.arn}: what the boundary {role.boundary} says is not known")
    statements = [s for policy in role.policies for s in policy["Statement"]]
    bounds = list(role.bounds["Statement"]) if role.bounds else None
    patterns = [p for s in [*statements, *(bounds or ())] for p in _patterns_of_actions(s)]
    patterns += [p for job in jobs for p in job.may]
    for action in representatives(patterns, ("iam", "sts")):
        asked = [s for s in [*statements, *(bounds or ())] if _is_about(s, action)]
        meant_of = [job for job in jobs if any(matches(pattern, action) for pattern in job.may)]
        # Of these alone: the fewer patterns are in play, the plainer are the resources.
        resources = _Resources(
            [p for s in asked for p in _patterns_of_resources(s)] + [p for job in meant_of for p in job.on]
        )
        request = _Request(action, resources)
        actual = _decide(request, statements, resource_policy=False)
        meant = z3.Or(
            [
                z3.And(request.resource_matches(job.on), _when(request, job.when), _within(request, job.within))
                for job in meant_of
            ]
        )
        yield from _differences(role.arn, request, actual, meant)
        if bounds is not None:
            bounded = z3.And(actual, _decide(request, bounds, resource_policy=False))
            yield from _differences(role.arn, request, bounded, meant)


def prove_boundary(arn: str, policy: Policy, left: Iterable[May]) -> Iterator[Counterexample]:
    """Counterexamples to "this permission boundary leaves what is said, and nothing else". None: proved."""
    return prove_role(Role(arn, arn.split(":")[4], arn, (policy,)), left)


def _differences(guarded: str, request: "_Request", actual: z3.BoolRef, meant: z3.BoolRef) -> Iterator[Counterexample]:
    differ = z3.simplify(z3.Xor(actual, meant))
    if z3.is_false(differ):
        return
    solver = z3.Solver()
    solver.set("timeout", _timeout_ms.get())
    solver.add(request.facts(), differ)
    answer = solver.check()
    if answer == z3.unknown:
        raise Undecided(f"{guarded}, {request.action}: {solver.reason_unknown()}")
    if answer == z3.sat:
        lets_in = z3.is_true(solver.model().eval(actual, model_completion=True))
        yield Counterexample(guarded, lets_in, request.in_words(solver.model()))


# A request -----------------------------------------------------------------------------------------------------------

_ARN_KEYS = {
    *("aws:principalarn", "aws:sourcearn", "lambda:functionarn", "ecs:cluster", "iam:associatedresourcearn"),
    *("ec2:subnet", "sagemaker:owneruserprofilearn"),
}
_LISTED_KEYS = {"sagemaker:instancetypes", "sagemaker:vpcsubnets"}
"""Keys with several values at once."""
ANONYMOUS, PRINCIPAL, SERVICE, FEDERATED = range(4)
_KINDS = {
    ANONYMOUS: "nobody known",
    PRINCIPAL: "a user or role",
    SERVICE: "an AWS service",
    FEDERATED: "an identity provider",
}
_VARIABLE = re.compile(r"\$\{([A-Za-z0-9:/-]+)\}")
_COMPONENTS = ("arn", "partition", "service", "region", "account", "resource")


class _Key:
    """A context key: whether it is there, and its value; an ARN by its components."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.present = z3.Bool(f"{name}?")
        self.parts = [z3.String(f"{name} {part}") for part in _COMPONENTS] if name.lower() in _ARN_KEYS else None
        # As many as there are statements on them: more could not make a difference to any.
        self.listed = [z3.String(f"{name} {n}") for n in range(5)] if name.lower() in _LISTED_KEYS else None
        self.uses = 0
        self._joined = False

    @property
    def value(self) -> Any:
        """The value as one string."""
        if self.listed:
            return z3.Concat(*(part for each in self.listed for part in (each, z3.StringVal(" "))))
        if self.parts is None:
            return z3.String(self.name)
        self._joined = True
        joined = [self.parts[0]]
        for part in self.parts[1:]:
            joined += [z3.StringVal(":"), part]
        return z3.Concat(*joined)

    def facts(self) -> list[z3.BoolRef]:
        # No component but the last holds a colon, or one string could be two ARNs.
        return [z3.Not(z3.Contains(part, ":")) for part in (self.parts or [])[:-1]] if self._joined else []


class _Resources:
    """What may be acted on: anything, or `within` and, with `parts`, anything below it (a bucket and its objects).

    As long as the patterns in play are literal or have their one wildcard at the end, which they are in all but strange
    policies, a few candidates stand for all: every literal, something else that begins like each pattern, and something
    that is none of them. Otherwise the resource is an unknown string.
    """

    def __init__(self, patterns: Iterable[str], *, within: str | None = None, parts: bool = False) -> None:
        self._within = within
        self._parts = parts
        patterns = set(patterns)
        heads = {pattern.removesuffix("*") for pattern in patterns}
        self._plain = not any(each in head for head in heads for each in ("*", "?", "${"))
        heads |= {"", f"{within}/"} if within else {""}
        candidates = {head + end for head in heads for end in ("", "any-other")} | {within or ""}
        self._candidates = sorted(each for each in candidates if self._is_within(each))
        self._which = z3.Int("which resource")
        self._any = z3.String("resource")

    def _is_within(self, resource: str) -> bool:
        return (
            self._within is None
            or resource == self._within
            or (self._parts and resource.startswith(f"{self._within}/"))
        )

    def facts(self) -> list[z3.BoolRef]:
        if self._plain:
            return [self._which >= 0, self._which < len(self._candidates)]
        if self._within is None:
            return []
        below = z3.PrefixOf(z3.StringVal(f"{self._within}/"), self._any) if self._parts else z3.BoolVal(False)
        return [z3.Or(self._any == z3.StringVal(self._within), below)]

    def like(self, pattern: str, request: "_Request") -> z3.BoolRef:
        if not self._plain:
            return request.like(self._any, pattern)
        return z3.Or(
            [self._which == index for index, each in enumerate(self._candidates) if regex(pattern).fullmatch(each)]
        )

    def in_words(self, model: z3.ModelRef) -> str:
        if self._plain:
            index: int = model.eval(self._which, model_completion=True).as_long()
            return self._candidates[index]
        return str(model.eval(self._any, model_completion=True)).strip('"')


class _Request:
    """All requests for one action."""

    def __init__(self, action: str, resources: _Resources) -> None:
        self.action = action
        self.kind = z3.Int("who")
        self.account = z3.String("account")
        self.name = z3.String("name of service or identity provider")
        self._resources = resources
        self._keys: dict[str, _Key] = {}

    def key(self, name: str) -> _Key:
        return self._keys.setdefault(name.lower(), _Key(name))

    def like(self, value: Any, pattern: str) -> z3.BoolRef:
        """A string matches a pattern, its variables filled in from this request."""
        pieces = _VARIABLE.split(pattern)
        if len(pieces) == 1:
            return _like(value, pattern)
        *_, last = pieces
        if any(each in piece for piece in (*pieces[::2][:-1], last.removesuffix("*")) for each in "*?"):
            raise Unmodelled(f"wildcards before a variable in {pattern!r}")
        keys = [self.key(name) for name in pieces[1::2]]
        pieces[-1] = last.removesuffix("*")
        terms = [keys[n // 2].value if n % 2 else z3.StringVal(each) for n, each in enumerate(pieces) if n % 2 or each]
        filled = z3.Concat(*terms)
        matched = z3.PrefixOf(filled, value) if last.endswith("*") else filled == value
        # One that the request has no value for matches nothing.
        return z3.And(*(key.present for key in keys), matched)

    def facts(self) -> z3.BoolRef:
        """What holds of every request that AWS evaluates."""
        facts = [self.kind >= ANONYMOUS, self.kind <= FEDERATED, *self._resources.facts()]
        for name, key in self._keys.items():
            facts += key.facts()
            if name == "aws:principalarn":
                # The caller's own ARN: AWS sets it, and only for users and roles.
                assert key.parts
                is_callers = z3.And(self.kind == PRINCIPAL, key.parts[4] == self.account)
                facts.append(z3.Implies(key.present, is_callers))
            if name == "aws:securetransport":
                facts.append(key.present)
        return z3.And(facts)

    def resource_matches(self, patterns: Iterable[str]) -> z3.BoolRef:
        return z3.Or([self._resources.like(pattern, self) for pattern in patterns])

    def in_words(self, model: z3.ModelRef) -> dict[str, str]:
        """The request that the solver found."""

        def text(term: Any) -> str:
            return str(model.eval(term, model_completion=True)).strip('"')

        kind = model.eval(self.kind, model_completion=True).as_long()
        words = {"action": self.action, "on": self._resources.in_words(model), "by": _KINDS[kind]}
        if kind == PRINCIPAL:
            words["of account"] = text(self.account)
        if kind in (SERVICE, FEDERATED):
            words["named"] = text(self.name)
        for key in self._keys.values():
            there = z3.is_true(model.eval(key.present))
            words[key.name] = text(key.value) if there else "(absent)"
        return words


def _like(value: Any, pattern: str) -> z3.BoolRef:
    """A string matches a pattern of `*` and `?`."""
    head = pattern.removesuffix("*")
    if "*" not in head and "?" not in head:
        if pattern == "*":
            return z3.BoolVal(True)
        return z3.PrefixOf(z3.StringVal(head), value) if head != pattern else value == z3.StringVal(pattern)
    any_char = z3.AllChar(z3.ReSort(z3.StringSort()))
    pieces = [
        z3.Star(any_char) if each == "*" else any_char if each == "?" else z3.Re(z3.StringVal(each)) for each in pattern
    ]
    return z3.InRe(value, pieces[0] if len(pieces) == 1 else z3.Concat(*pieces))


# A policy ------------------------------------------------------------------------------------------------------------

_ELEMENTS = {
    *("Sid", "Effect", "Principal", "NotPrincipal", "Action", "NotAction", "Resource", "NotResource", "Condition"),
}


def _ceiling(request: _Request, statements: list[Statement], guard: Guard) -> z3.BoolRef:
    """What gets through if every caller's own policies allow everything."""
    owner = z3.And(request.kind == PRINCIPAL, request.account == z3.StringVal(guard.account))
    granted = _any(request, statements, "Allow", resource_policy=True)
    if guard.owner_decides:
        granted = z3.Or(granted, owner)
    return z3.And(granted, z3.Not(_any(request, statements, "Deny", resource_policy=True)))


def _decide(request: _Request, statements: list[Statement], *, resource_policy: bool) -> z3.BoolRef:
    return z3.And(
        _any(request, statements, "Allow", resource_policy=resource_policy),
        z3.Not(_any(request, statements, "Deny", resource_policy=resource_policy)),
    )


def _any(request: _Request, statements: list[Statement], effect: str, *, resource_policy: bool) -> z3.BoolRef:
    return z3.Or([_applies(request, s, resource_policy) for s in statements if _effect(s) == effect])


def _effect(statement: Statement) -> str:
    if unknown := set(statement) - _ELEMENTS:
        raise Unmodelled(f"element {', '.join(sorted(unknown))} in {statement}")
    effect: str = statement["Effect"]
    if effect not in ("Allow", "Deny"):
        raise Unmodelled(f"effect {effect} in {statement}")
    return effect


def _applies(request: _Request, statement: Statement, resource_policy: bool) -> z3.BoolRef:
    if not _is_about(statement, request.action):
        return z3.BoolVal(False)
    conditions = [_condition(request, operator, keys) for operator, keys in statement.get("Condition", {}).items()]
    if resource_policy:
        conditions.append(_principal(request, statement))
    if "NotResource" in statement:
        conditions.append(z3.Not(request.resource_matches(_listed(statement["NotResource"]))))
    elif "Resource" in statement:
        conditions.append(request.resource_matches(_listed(statement["Resource"])))
    return z3.And(conditions)


def _is_about(statement: Statement, action: str) -> bool:
    named = any(matches(pattern, action) for pattern in _patterns_of_actions(statement))
    return named != ("NotAction" in statement)


def _patterns_of_actions(statement: Statement) -> list[str]:
    return _listed(statement["NotAction"] if "NotAction" in statement else statement["Action"])


def _patterns_of_resources(statement: Statement) -> list[str]:
    return _listed(statement.get("NotResource", statement.get("Resource", [])))


def _principal(request: _Request, statement: Statement) -> z3.BoolRef:
    if "NotPrincipal" in statement:
        return z3.Not(_one_of(request, statement["NotPrincipal"]))
    return _one_of(request, statement["Principal"])


def _one_of(request: _Request, principals: object) -> z3.BoolRef:
    if principals == "*":
        return z3.BoolVal(True)
    if not isinstance(principals, dict):
        raise Unmodelled(f"principal {principals}")
    return z3.Or([_is(request, kind, each) for kind, values in principals.items() for each in _listed(values)])


def _is(request: _Request, kind: str, value: str) -> z3.BoolRef:
    if kind in ("Service", "Federated"):
        which = SERVICE if kind == "Service" else FEDERATED
        return z3.And(request.kind == which, request.name == z3.StringVal(value))
    if kind != "AWS":
        raise Unmodelled(f"principal of kind {kind}")
    if value == "*":
        return z3.BoolVal(True)
    if value.isdigit():
        return z3.And(request.kind == PRINCIPAL, request.account == z3.StringVal(value))
    parts = value.split(":", 5)
    if len(parts) != 6 or parts[2] != "iam" or "*" in value:
        raise Unmodelled(f"principal {value}; IAM takes an account, a user or a role, without wildcards")
    if parts[5] == "root":
        return z3.And(request.kind == PRINCIPAL, request.account == z3.StringVal(parts[4]))
    return z3.And(request.kind == PRINCIPAL, _arn_is(request, value))


def _arn_is(request: _Request, value: str) -> z3.BoolRef:
    key = request.key("aws:PrincipalArn")
    return z3.And(key.present, _arn_like(request, key, value))


def _condition(request: _Request, operator: str, keys: Mapping[str, object]) -> z3.BoolRef:
    return z3.And([_tests(request, operator, request.key(key), _listed(values)) for key, values in keys.items()])


def _tests(request: _Request, operator: str, key: _Key, values: list[str]) -> z3.BoolRef:
    if operator == "Null":
        return z3.And([key.present == z3.BoolVal(value == "false") for value in values])
    if key.listed is not None or ":" in operator:
        return _tests_list(request, operator, key, values)
    base = operator.removesuffix("IfExists")
    negative = "Not" in base
    matched = z3.Or([_value_matches(request, base.replace("Not", ""), key, value) for value in values])
    # A negated operator holds of a key that is absent; so does any with IfExists.
    if negative:
        return z3.Or(z3.Not(key.present), z3.Not(matched))
    return z3.Or(z3.Not(key.present), matched) if base != operator else z3.And(key.present, matched)


def _tests_list(request: _Request, operator: str, key: _Key, values: list[str]) -> z3.BoolRef:
    """`ForAnyValue:` and `ForAllValues:`, of what has several values; a key that is absent has none."""
    quantifier, _, base = operator.partition(":")
    if key.listed is None or base not in ("StringEquals", "StringNotEquals") or any("${" in each for each in values):
        raise Unmodelled(f"{operator} of {key.name} with {values}")
    _one_use_more(key)
    among = [z3.Or([each == z3.StringVal(value) for value in values]) for each in key.listed]
    tests = [z3.Not(each) for each in among] if "Not" in base else among
    match quantifier:
        case "ForAnyValue":
            return z3.And(key.present, z3.Or(tests))
        case "ForAllValues":
            return z3.Or(z3.Not(key.present), z3.And(tests))
    raise Unmodelled(f"{operator} of {key.name}, which has several values")


def _one_use_more(key: _Key) -> None:
    key.uses += 1
    if key.listed is not None and key.uses > len(key.listed):
        raise Unmodelled(f"more statements on {key.name} than the prover gives it values")


def _value_matches(request: _Request, operator: str, key: _Key, value: str) -> z3.BoolRef:
    match operator:
        case "StringEquals":
            if "${" in value:
                raise Unmodelled(f"policy variable in {value}")
            return key.value == z3.StringVal(value)
        case "StringLike":
            return request.like(key.value, value)
        case "ArnEquals" | "ArnLike":
            return _arn_like(request, key, value)
        case "Bool":
            return key.value == z3.StringVal(value.lower())
    raise Unmodelled(f"condition operator {operator}")


def _arn_like(request: _Request, key: _Key, pattern: str) -> z3.BoolRef:
    if pattern == "*":
        return z3.BoolVal(True)
    patterns = pattern.split(":", 5)
    if key.parts is None or len(patterns) != 6:
        raise Unmodelled(f"{key.name} compared as an ARN with {pattern!r}")
    return z3.And([request.like(part, each) for part, each in zip(key.parts, patterns, strict=True)])


def _listed(value: Any) -> list[str]:
    return [
        str(each) if not isinstance(each, bool) else str(each).lower()
        for each in (value if isinstance(value, list) else [value])
    ]


# The intent ----------------------------------------------------------------------------------------------------------


def _meant(request: _Request, guard: Guard) -> z3.BoolRef:
    doors = [_open(request, door) for door in guard.doors if any(matches(p, request.action) for p in door.may)]
    if guard.owner_decides:
        doors.append(z3.And(request.kind == PRINCIPAL, request.account == z3.StringVal(guard.account)))
    musts = [_has(request, key, values) for action, key, values in guard.only if matches(action, request.action)]
    if any(matches(pattern, request.action) for pattern in guard.over_tls):
        musts.append(request.key("aws:SecureTransport").value != z3.StringVal("false"))
    return z3.And(z3.Or(doors), *musts)


def _open(request: _Request, door: Door) -> z3.BoolRef:
    return z3.And(_who(request, door.who), request.resource_matches(door.on), _when(request, door.when))


def _who(request: _Request, who: Who) -> z3.BoolRef:
    match who:
        case Account(id):
            return z3.And(request.kind == PRINCIPAL, request.account == z3.StringVal(id))
        case Roles(_, arns):
            return z3.And(request.kind == PRINCIPAL, z3.Or([_arn_is(request, each) for each in arns]))
        case Named(role):
            return z3.And(request.kind == PRINCIPAL, _arn_is(request, role))
        case Everybody():
            return z3.BoolVal(True)
        case Service(name, sources, account):
            facts = [request.kind == SERVICE, request.name == z3.StringVal(name)]
            if sources:
                source = request.key("aws:SourceArn")
                facts.append(z3.And(source.present, z3.Or([_arn_like(request, source, each) for each in sources])))
            if account:
                facts.append(_has(request, "aws:SourceAccount", (account,)))
            return z3.And(facts)


def _when(request: _Request, when: When) -> z3.BoolRef:
    return z3.And([_has(request, key, values) for key, values in when.items()])


def _within(request: _Request, when: When) -> z3.BoolRef:
    return z3.And(
        [z3.Or(z3.Not(request.key(name).present), _has(request, name, values)) for name, values in when.items()]
    )


def _has(request: _Request, name: str, values: tuple[str, ...]) -> z3.BoolRef:
    key = request.key(name)
    _one_use_more(key)
    there = [key] if key.listed is None else key.listed
    return z3.And(key.present, *(z3.Or([_is_value(request, each, value) for value in values]) for each in there))


def _is_value(request: _Request, there: Any, value: str) -> z3.BoolRef:
    if isinstance(there, _Key):
        if there.parts is not None:
            return _arn_like(request, there, value)
        there = there.value
    return request.like(there, value) if isinstance(value, Like) else there == z3.StringVal(value)
