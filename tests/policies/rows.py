"""Rows of the access matrix: a request with the decision of the statement of intent.

`matrix.py` makes the rows of the messaging stacks, `research_matrix.py` those of a research environment.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice

from access.inventory import Policy
from tests.policies.actions import matches, matches_in_context
from tests.policies.simulator import Answer, Question, Simulator
from tests.policies.terms import (
    Account,
    AnyPrincipal,
    Conditions,
    Grant,
    Like,
    NamedRole,
    Permission,
    ResourceIntent,
    Roles,
    Service,
)

OTHER_ACCOUNT = "999999999999"
NEIGHBOUR = "888888888888"
"""An account of the same organisation that is not in the deployment."""
OTHER_ORGANIZATION = "o-zzzzzzzzzz"
ALLOW_ALL: Policy = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
Context = dict[str, str | list[str]]


@dataclass(frozen=True)
class Caller:
    """A caller with its policies, and the intended permissions of its policies and its permissions boundary."""

    name: str
    principal: str | None
    account: str | None
    policies: tuple[Policy, ...]
    permissions: tuple[Permission, ...] | None
    """None: all."""
    context: tuple[tuple[str, str], ...] = ()
    boundary: Policy | None = None
    boundary_permissions: tuple[Permission, ...] | None = None
    """None: there is no boundary."""

    @property
    def is_service(self) -> bool:
        return self.principal is not None and not self.principal.startswith("arn:")


@dataclass(frozen=True)
class Target:
    """A resource, with its policy if it can have one, and the VPC endpoint that requests pass, if there is one."""

    kind: str
    arn: str
    account: str
    intent: ResourceIntent | None
    policy: Policy | None
    block_public: bool = True
    actions: tuple[str, ...] = ()
    endpoint: ResourceIntent | None = None
    endpoint_policy: Policy | None = None


@dataclass(frozen=True)
class Scene:
    """Callers, targets, and the variants of a request for an action: a description and a context each."""

    callers: tuple[Caller, ...]
    targets: tuple[Target, ...]
    variants: Callable[[Caller, str, Target], Iterable[tuple[str, Context]]]
    includes: Callable[[Caller, Target], bool] = lambda _, __: True


@dataclass(frozen=True)
class Changes:
    """The resources with a changed policy and the roles with changed policies, by ARN."""

    resources: frozenset[str]
    roles: frozenset[str]


@dataclass(frozen=True)
class Row:
    """A request, and the intended decision."""

    caller: Caller
    action: str
    target: Target
    variant: str
    context: Context
    expected: bool

    def __str__(self) -> str:
        decision = "allowed" if self.expected else "denied"
        return f"{self.caller.name}: {self.action} on {self.target.arn} ({self.variant}) should be {decision}"

    def question(self) -> Question:
        return Question(
            principal=session(self.caller.principal),
            action=self.action,
            resource=self.target.arn,
            account=self.target.account,
            context=dict(self.context),
            identity=self.caller.policies,
            policy=self.target.policy,
            trust=self.target.kind == "role",
            block_public=self.target.block_public,
            boundary=self.caller.boundary,
            endpoint=self.target.endpoint_policy,
        )


def session(principal: str | None) -> str | None:
    """Return the session of a role. A request's principal is a session, while `aws:PrincipalArn` is the role."""
    if principal and ":role/" in principal:
        head, _, role = principal.partition(":role/")
        return f"{head.replace(':iam:', ':sts:')}:assumed-role/{role}/session"
    return principal


@dataclass(frozen=True)
class Disagreement:
    row: Row
    answer: Answer

    def __str__(self) -> str:
        return f"{self.row}, but the policies decide {self.answer.decision}. Context: {dict(self.row.context)}"


def disagreements(rows: Sequence[Row], simulator: Simulator) -> list[Disagreement]:
    """Return the rows for which the policies decide otherwise, or give no decision."""
    answers = simulator.answer([row.question() for row in rows])
    return [
        Disagreement(row, answer)
        for row, answer in zip(rows, answers, strict=True)
        if answer.allowed != row.expected or answer.decision not in ("Allowed", "ImplicitlyDenied", "ExplicitlyDenied")
    ]


def first_disagreement(rows: Iterable[Row], simulator: Simulator, *, batch: int = 100) -> Disagreement | None:
    """Return a disagreement, or None. Ask no further batch after a disagreement."""
    rows = iter(rows)
    while some := list(islice(rows, batch)):
        if found := disagreements(some, simulator):
            return found[0]
    return None


# Intended decisions --------------------------------------------------------------------------------------------------


def intended_decision(caller: Caller, action: str, target: Target, context: Context) -> bool:
    """Return whether the intent allows a request."""
    own = all(
        _permits(permissions, action, target, context)
        for permissions in (caller.permissions, caller.boundary_permissions)
        if permissions is not None
    )
    if target.endpoint and not any(_grants(grant, caller, action, target, context) for grant in target.endpoint.grants):
        return False
    if target.intent is None:
        return own and caller.account == target.account
    intent = target.intent
    if context["aws:SecureTransport"] == "false" and _matches_any(intent.tls_actions, action):
        return False
    if any(action == name and context.get(key) not in values for name, key, values in intent.restrictions):
        return False
    grants = [grant for grant in intent.grants if _grants(grant, caller, action, target, context)]
    if caller.account is None:
        return bool(grants)
    if caller.account == target.account:
        named = any(isinstance(grant.principal, NamedRole) for grant in grants)
        return named or (own and (intent.owner_decides or bool(grants)))
    return own and bool(grants)


def _permits(permissions: tuple[Permission, ...], action: str, target: Target, context: Context) -> bool:
    return any(
        _matches_any(permission.actions, action)
        and _reaches(permission.resources, target.arn, context)
        and _holds(permission.conditions, context)
        and _holds_if_present(permission.conditions_if_present, context)
        for permission in permissions
    )


def _grants(grant: Grant, caller: Caller, action: str, target: Target, context: Context) -> bool:
    if not (
        _matches_any(grant.actions, action)
        and _reaches(grant.resources, target.arn, context)
        and _holds(grant.conditions, context)
    ):
        return False
    match grant.principal:
        case Account(account):
            return caller.account == account
        case Roles(_, arns):
            return caller.principal in arns
        case NamedRole(role):
            return caller.principal == role
        case AnyPrincipal():
            return True
        case Service(name, sources, account):
            right_source = not sources or _reaches(sources, str(context.get("aws:SourceArn", "")), context)
            right_account = account is None or context.get("aws:SourceAccount") == account
            return caller.principal == name and right_source and right_account


def _matches_any(patterns: Iterable[str], action: str) -> bool:
    return any(matches(pattern, action) for pattern in patterns)


def _reaches(patterns: Iterable[str], target: str, context: Context) -> bool:
    return any(matches_in_context(pattern, target, context) for pattern in patterns)


def _holds(conditions: Conditions, context: Context) -> bool:
    return all(key in context and _accepts(values, context[key], context) for key, values in conditions.items())


def _holds_if_present(conditions: Conditions, context: Context) -> bool:
    return all(key not in context or _accepts(values, context[key], context) for key, values in conditions.items())


def _accepts(values: tuple[str, ...], actual: str | list[str], context: Context) -> bool:
    return all(
        any(matches_in_context(value, item, context) if isinstance(value, Like) else item == value for value in values)
        for item in ([actual] if isinstance(actual, str) else actual)
    )


# Variants of requests ------------------------------------------------------------------------------------------------


def rows_of(scene: Scene, caller: Caller, action: str, target: Target) -> Iterator[Row]:
    """Yield the rows of one caller, action and target: each variant, and for allowed ones also incomplete variants."""
    for variant, request in scene.variants(caller, action, target):
        context = {"aws:SecureTransport": "true", **request, **dict(caller.context)}
        row = Row(caller, action, target, variant, context, intended_decision(caller, action, target, context))
        yield row
        if row.expected:
            for description, changed in _incomplete(context):
                yield replace(
                    row,
                    variant=f"{variant}, {description}",
                    context=changed,
                    expected=intended_decision(caller, action, target, changed),
                )


def _incomplete(context: Context) -> Iterator[tuple[str, Context]]:
    """Yield an allowed request's context without one of its conditions."""
    yield "without TLS", {**context, "aws:SecureTransport": "false"}
    if "aws:PrincipalOrgID" in context:
        yield "from an account in another organisation", {**context, "aws:PrincipalOrgID": OTHER_ORGANIZATION}
        yield (
            "from an account without organisation",
            {key: value for key, value in context.items() if key != "aws:PrincipalOrgID"},
        )


def user(organization: str | None, account: str, principal: str, name: str) -> Caller:
    """Return a caller whose own policies allow all requests."""
    organization = OTHER_ORGANIZATION if account == OTHER_ACCOUNT else organization
    return Caller(name, principal, account, (ALLOW_ALL,), None, signed(principal, account, organization))


def signed(principal: str, account: str, organization: str | None) -> tuple[tuple[str, str], ...]:
    """Return the context that AWS adds to a signed request."""
    context = {"aws:PrincipalArn": principal, "aws:PrincipalAccount": account}
    if organization:
        context["aws:PrincipalOrgID"] = organization
    return tuple(context.items())


def default_key_policy(account_arn: str) -> Policy:
    """Return the policy of a key that leaves the decision to its account's own policies."""
    statement = {"Effect": "Allow", "Principal": {"AWS": account_arn}, "Action": "kms:*", "Resource": "*"}
    return {"Version": "2012-10-17", "Statement": [statement]}
