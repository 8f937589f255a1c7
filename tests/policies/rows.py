"""A row of the access matrix: a request, and what the statement of intent says of it. `matrix.py` makes the messaging
stacks' rows, `research_matrix.py` a research environment's.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice

from access.inventory import Policy
from tests.policies.actions import fits, matches
from tests.policies.simulator import Answer, Question, Simulator
from tests.policies.terms import Account, Door, Everybody, Guard, Like, May, Named, Roles, Service, When

STRANGER = "999999999999"
NEIGHBOUR = "888888888888"
"""An account of the same organisation that has no part in the deployment."""
OTHER_ORGANIZATION = "o-somebodyelse"
WIDE_OPEN: Policy = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
Context = dict[str, str | list[str]]


@dataclass(frozen=True)
class Caller:
    """Who asks. `jobs` is what its own policies are meant to allow; None: everything. `ceiling` is what its permission
    boundary, `bounds`, is meant to leave; None: it has no boundary."""

    who: str
    principal: str | None
    account: str | None
    policies: tuple[Policy, ...]
    jobs: tuple[May, ...] | None
    context: tuple[tuple[str, str], ...] = ()
    bounds: Policy | None = None
    ceiling: tuple[May, ...] | None = None

    @property
    def is_service(self) -> bool:
        return self.principal is not None and not self.principal.startswith("arn:")


@dataclass(frozen=True)
class Target:
    """What is acted on, at most with a policy of its own; `through` an endpoint of a VPC, or not."""

    kind: str
    arn: str
    account: str
    guard: Guard | None
    policy: Policy | None
    block_public: bool = True
    actions: tuple[str, ...] = ()
    through: Guard | None = None
    through_policy: Policy | None = None


@dataclass(frozen=True)
class Scene:
    """Who asks for what, and the ways in which each action can be asked for: words and context."""

    callers: tuple[Caller, ...]
    targets: tuple[Target, ...]
    requests: Callable[[Caller, str, Target], Iterable[tuple[str, Context]]]
    asks: Callable[[Caller, Target], bool] = lambda _, __: True


@dataclass(frozen=True)
class Changed:
    """What a mutant changed, by ARN: what decides of something guarded, or what a role may itself."""

    guarded: frozenset[str]
    roles: frozenset[str]


@dataclass(frozen=True)
class Row:
    """One cell of the matrix: a request, and whether it is meant to be allowed."""

    caller: Caller
    action: str
    target: Target
    circumstances: str
    context: Context
    expected: bool

    def __str__(self) -> str:
        verdict = "allowed" if self.expected else "refused"
        return f"{self.caller.who}: {self.action} on {self.target.arn} ({self.circumstances}) is meant to be {verdict}"

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
            bounds=self.caller.bounds,
            through=self.target.through_policy,
        )


def session(principal: str | None) -> str | None:
    """Roles act in sessions: that is whom a request names, while `aws:PrincipalArn` names the role."""
    if principal and ":role/" in principal:
        head, _, role = principal.partition(":role/")
        return f"{head.replace(':iam:', ':sts:')}:assumed-role/{role}/session"
    return principal


@dataclass(frozen=True)
class Disagreement:
    row: Row
    answer: Answer

    def __str__(self) -> str:
        return f"{self.row}; the policies say {self.answer.by}. Context: {dict(self.row.context)}"


def disagreements(rows: Sequence[Row], simulator: Simulator) -> list[Disagreement]:
    """Rows on which the policies decide otherwise than the intent, or cannot decide."""
    answers = simulator.answer([row.question() for row in rows])
    return [
        Disagreement(row, answer)
        for row, answer in zip(rows, answers, strict=True)
        if answer.allowed != row.expected or answer.by not in ("Allowed", "ImplicitlyDenied", "ExplicitlyDenied")
    ]


def first_disagreement(rows: Iterable[Row], simulator: Simulator, *, at_once: int = 100) -> Disagreement | None:
    """One of them, or None; asks no further than it has to."""
    rows = iter(rows)
    while some := list(islice(rows, at_once)):
        if found := disagreements(some, simulator):
            return found[0]
    return None


# Expectation ---------------------------------------------------------------------------------------------------------


def expected(caller: Caller, action: str, target: Target, context: Context) -> bool:
    """Whether the intent lets this request through."""
    own = all(_does(jobs, action, target, context) for jobs in (caller.jobs, caller.ceiling) if jobs is not None)
    if target.through and not any(_opens(door, caller, action, target, context) for door in target.through.doors):
        return False
    if target.guard is None:
        return own and caller.account == target.account
    guard = target.guard
    if context["aws:SecureTransport"] == "false" and _covers(guard.over_tls, action):
        return False
    if any(action == only and context.get(key) not in values for only, key, values in guard.only):
        return False
    doors = [door for door in guard.doors if _opens(door, caller, action, target, context)]
    if caller.account is None:
        return bool(doors)
    if caller.account == target.account:
        return (own and (guard.owner_decides or bool(doors))) or any(isinstance(door.who, Named) for door in doors)
    return own and bool(doors)


def _does(jobs: tuple[May, ...], action: str, target: Target, context: Context) -> bool:
    return any(
        _covers(job.may, action)
        and _reaches(job.on, target.arn, context)
        and _holds(job.when, context)
        and _within(job.within, context)
        for job in jobs
    )


def _opens(door: Door, caller: Caller, action: str, target: Target, context: Context) -> bool:
    if not (_covers(door.may, action) and _reaches(door.on, target.arn, context) and _holds(door.when, context)):
        return False
    match door.who:
        case Account(account):
            return caller.account == account
        case Roles(_, arns):
            return caller.principal in arns
        case Named(role):
            return caller.principal == role
        case Everybody():
            return True
        case Service(name, sources, account):
            right_source = not sources or _reaches(sources, str(context.get("aws:SourceArn", "")), context)
            right_account = account is None or context.get("aws:SourceAccount") == account
            return caller.principal == name and right_source and right_account


def _covers(patterns: Iterable[str], action: str) -> bool:
    return any(matches(pattern, action) for pattern in patterns)


def _reaches(patterns: Iterable[str], target: str, context: Context) -> bool:
    return any(fits(pattern, target, context) for pattern in patterns)


def _holds(when: When, context: Context) -> bool:
    return all(key in context and _each(context[key], values, context) for key, values in when.items())


def _within(when: When, context: Context) -> bool:
    return all(key not in context or _each(context[key], values, context) for key, values in when.items())


def _each(there: str | list[str], values: tuple[str, ...], context: Context) -> bool:
    return all(
        any(fits(value, one, context) if isinstance(value, Like) else one == value for value in values)
        for one in ([there] if isinstance(there, str) else there)
    )


# Circumstances ------------------------------------------------------------------------------------------------------


def circumstances(scene: Scene, caller: Caller, action: str, target: Target) -> Iterator[Row]:
    """The rows of one caller, action and target: each way of asking; and of what is let through, less of it."""
    for words, request in scene.requests(caller, action, target):
        context = {"aws:SecureTransport": "true", **request, **dict(caller.context)}
        row = Row(caller, action, target, words, context, expected(caller, action, target, context))
        yield row
        if row.expected:
            for what, changed in _spoiled(context):
                yield replace(
                    row,
                    circumstances=f"{words}, {what}",
                    context=changed,
                    expected=expected(caller, action, target, changed),
                )


def _spoiled(context: Context) -> Iterator[tuple[str, Context]]:
    """What works, without one of the things that may make it work."""
    yield "in the clear", {**context, "aws:SecureTransport": "false"}
    if "aws:PrincipalOrgID" in context:
        yield "its account having joined another organisation", {**context, "aws:PrincipalOrgID": OTHER_ORGANIZATION}
        yield (
            "its account having left the organisation",
            {key: value for key, value in context.items() if key != "aws:PrincipalOrgID"},
        )


def person(organization: str | None, account: str, principal: str, who: str) -> Caller:
    organization = OTHER_ORGANIZATION if account == STRANGER else organization
    return Caller(who, principal, account, (WIDE_OPEN,), None, signed(principal, account, organization))


def signed(principal: str, account: str, organization: str | None) -> tuple[tuple[str, str], ...]:
    context = {"aws:PrincipalArn": principal, "aws:PrincipalAccount": account}
    if organization:
        context["aws:PrincipalOrgID"] = organization
    return tuple(context.items())
