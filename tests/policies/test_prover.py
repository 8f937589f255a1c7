"""A differential test of the prover: iam-simulate decides the same requests, of sound policies and of mutants.

Each statement gives a request that all its parts match, and for each part a request that this part does not match.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

import pytest
import z3  # type: ignore[import-untyped]

from access import prover
from access.actions import actions_of, matches
from access.assembly import AssemblyError
from access.findings import Case
from access.inventory import Policy, ResourcePolicy, Role, Statement
from access.terms import ResourceIntent
from tests.policies.cases import OTHER_ACCOUNT, VARIANTS, case_of
from tests.policies.mutants import statement_mutants
from tests.policies.simulator import Question, Simulator

pytestmark = pytest.mark.exhaustive

ALLOW_ALL: Policy = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
MULTIVALUED = ("sagemaker:InstanceTypes", "sagemaker:VpcSubnets", "sagemaker:VpcSecurityGroupIds")


@dataclass(frozen=True)
class Request:
    """A request with all of its values. A principal without `arn:` is a service."""

    action: str
    resource: str
    principal: str
    context: tuple[tuple[str, str], ...]

    @property
    def account(self) -> str:
        return self.principal.split(":")[4] if self.principal.startswith("arn:") else ""

    @property
    def keys(self) -> dict[str, str]:
        caller = {"aws:PrincipalArn": self.principal, "aws:PrincipalAccount": self.account} if self.account else {}
        return {"aws:SecureTransport": "true", **caller, **dict(self.context)}


def requests(statement: Statement, owner: str, account: str) -> Iterator[Request]:
    """Yield requests inside a statement, and outside each of its parts. `owner`: ARN of its resource or role."""
    patterns = _list(statement.get("Action", statement.get("NotAction")))
    service = patterns[0].partition(":")[0] if ":" in patterns[0] else owner.split(":")[2]
    services = {"iam": "sts"} if owner.split(":")[2] == "iam" and "Principal" in statement else {}
    known = actions_of(services.get(service, service))
    inside = [action for action in known if any(matches(pattern, action) for pattern in patterns)]
    outside = [action for action in known if action not in inside]
    keys = {key: (operator, _list(values)) for operator, keys in _conditions(statement) for key, values in keys.items()}
    context = {key: _value(operator, values) for key, (operator, values) in keys.items()}
    principal = context.pop("aws:PrincipalArn", None) or _principal(statement, account)
    present = tuple((key, value) for key, value in context.items() if value is not None)
    for pattern in _list(statement.get("Resource", statement.get("NotResource", owner)))[:2]:
        named = owner if pattern == "*" and "Principal" in statement else pattern
        resource = re.sub(r"\$\{[^}]*\}|\*|\?", "one", named)
        for action in (*inside[:2], *inside[-1:]):
            request = Request(action, resource, principal, present)
            yield request
            yield replace(request, resource=f"{resource}2")
            yield replace(request, principal=f"arn:aws:iam::{OTHER_ACCOUNT}:role/one")
            yield replace(request, principal=f"arn:aws:iam::{account}:role/other")
            yield replace(request, context=(*present, ("aws:SecureTransport", "false")))
            yield from (replace(request, action=other) for other in outside[:1])
            for key in context:
                others = tuple(pair for pair in present if pair[0] != key)
                yield replace(request, context=others)
                yield replace(request, context=(*others, (key, _other(key, dict(present).get(key) or "one"))))


def _conditions(statement: Statement) -> Iterator[tuple[str, Mapping[str, object]]]:
    yield from statement.get("Condition", {}).items()


def _value(operator: str, values: list[str]) -> str | None:
    """Return a value with which a condition holds. None: an absent key."""
    if operator == "Null":
        return None if values == ["true"] else "one"
    value = re.sub(r"\*|\?", "one", values[0])
    return _other("", value) if "Not" in operator else value


def _other(key: str, value: str) -> str:
    if value in ("true", "false"):
        return "false" if value == "true" else "true"
    return f"{value}2"


def _principal(statement: Statement, account: str) -> str:
    """Return a principal of a statement: a role or a service. By default, a role of the account."""
    principals = statement.get("Principal", "*")
    kind, value = next(iter(principals.items())) if isinstance(principals, dict) else ("AWS", principals)
    first = _list(value)[0]
    if kind == "Service":
        return first
    number = re.search(r"[0-9]{12}", first)
    return first if ":role/" in first else f"arn:aws:iam::{number[0] if number else account}:role/one"


def _list(value: object) -> list[str]:
    return [str(item) for item in value] if isinstance(value, list) else [str(value)]


# The two engines -----------------------------------------------------------------------------------------------------


def prover_allows(policy: ResourcePolicy | Role, request: Request) -> bool:
    """Return whether the prover's formula of a policy is true for one request."""
    asked = prover._Request(request.action, prover._Resources(["any*resource"]))
    if isinstance(policy, Role):
        statements = [statement for document in policy.policies for statement in document["Statement"]]
        formula = prover._decide(asked, statements, resource_policy=False)
    else:
        owner = ResourceIntent(policy.kind, policy.arn, policy.account)
        formula = prover._allowed_by_resource(asked, policy.policy["Statement"], owner)
    values = [
        (asked._resources._any, z3.StringVal(request.resource)),
        (asked.kind, z3.IntVal(prover.PRINCIPAL if request.account else prover.SERVICE)),
        (asked.account, z3.StringVal(request.account)),
        (asked.name, z3.StringVal("" if request.account else request.principal)),
    ]
    context = {key.lower(): value for key, value in request.keys.items()}
    for name, key in asked._keys.items():
        value = context.get(name, "")
        values.append((key.present, z3.BoolVal(name in context)))
        if key.parts is not None:
            parts = [*value.split(":", 5), *[""] * 6][:6]
            values += [(part, z3.StringVal(text)) for part, text in zip(key.parts, parts, strict=True)]
        for unknown in key.values or ([] if key.parts is not None else [key.value]):
            values.append((unknown, z3.StringVal(value)))
    decision = z3.simplify(z3.substitute(formula, *values))
    assert z3.is_true(decision) or z3.is_false(decision), decision
    return bool(z3.is_true(decision))


def question(policy: ResourcePolicy | Role, request: Request) -> Question:
    """Return the question whose answer depends on this policy alone: the other side allows all."""
    keys = {key: [value] if key in MULTIVALUED else value for key, value in request.keys.items()}
    if isinstance(policy, Role):
        key_policy = {"Effect": "Allow", "Principal": {"AWS": policy.account}, "Action": "kms:*", "Resource": "*"}
        resource: Policy = {"Version": "2012-10-17", "Statement": [key_policy]}
        resource_policy = resource if request.action.startswith("kms:") else None
        identity, account, trust = policy.policies, policy.account, False
    else:
        resource_policy, account, trust = policy.policy, policy.account, policy.kind == "role"
        identity = (ALLOW_ALL,) if request.account else ()
    return Question(
        principal=_session(request.principal),
        action=request.action,
        resource=request.resource,
        account=account,
        context=dict(keys),
        identity=identity,
        policy=resource_policy,
        trust=trust,
    )


def _session(principal: str) -> str:
    """Return the session of a role. A request's principal is a session, while `aws:PrincipalArn` is the role."""
    head, _, role = principal.partition(":role/")
    return f"{head.replace(':iam:', ':sts:')}:assumed-role/{role}/session" if role else principal


def compare(policies: Iterable[ResourcePolicy | Role], simulator: Simulator) -> tuple[int, list[str]]:
    """Return the number of requests that both engines decide, and the requests that they decide differently."""
    decided, different = 0, []
    for policy in policies:
        documents = policy.policies if isinstance(policy, Role) else (policy.policy,)
        statements = [statement for document in documents for statement in document["Statement"]]
        asked = {request for statement in statements for request in requests(statement, policy.arn, policy.account)}
        if isinstance(policy, Role):
            asked = {replace(request, principal=policy.arn) for request in asked}
        own = {request for request in asked if _is_about(policy, request.resource)}
        for request in sorted(own, key=repr):
            answer = simulator.ask(question(policy, request))
            if answer is None:
                continue
            decided += 1
            if answer != prover_allows(policy, request):
                different.append(f"{policy.arn}: iam-simulate {'allows' if answer else 'denies'} {request}")
    return decided, different


def _is_about(policy: ResourcePolicy | Role, resource: str) -> bool:
    return isinstance(policy, Role) or resource == policy.arn or resource.startswith(f"{policy.arn}/")


@pytest.fixture(scope="module")
def simulator() -> Iterator[Simulator]:
    with Simulator() as running:
        yield running


def policies_of(case: Case) -> dict[str, ResourcePolicy | Role]:
    """Return all policies except those of VPC endpoints, which iam-simulate decides together with others."""
    inventory = case.inventory
    resources = {arn: policy for arn, policy in inventory.resource_policies.items() if policy.kind != "endpoint"}
    return {**resources, **{f"{arn} own": role for arn, role in inventory.roles.items()}}


@pytest.mark.parametrize("name", ["organization", "everywhere", "research"])
def test_engines_agree_on_policies(name: str, simulator: Simulator) -> None:
    decided, different = compare(policies_of(VARIANTS[name]()).values(), simulator)
    assert not different, "\n".join(different[:20])
    assert decided > 500


@pytest.mark.parametrize("name", ["organization", "research"])
def test_engines_agree_on_mutants(name: str, simulator: Simulator) -> None:
    """Each tenth mutant, with operators, elements and wildcards that no sound policy has."""
    case, seen, total = VARIANTS[name](), set[str](), 0
    before = policies_of(case)
    mutants = [mutant for stack in case.stacks for mutant in statement_mutants(stack, seen)]
    for mutant in mutants[::10]:
        if "any value of" in mutant.name and mutant.name.rpartition(" ")[2].lower() in prover._ARN_KEYS:
            continue  # AWS does not say whether ArnLike "*" matches: the prover assumes that it does
        try:
            found = policies_of(case_of(case.deployment, mutant.apply(case.stacks)))
            changed = [policy for arn, policy in found.items() if policy != before[arn]]
            decided, different = compare(changed, simulator)
        except (AssemblyError, prover.Unmodelled):
            continue
        total += decided
        assert not different, f"{mutant.name}\n" + "\n".join(different[:5])
    assert total > 500
