"""A differential test of the prover: iam-simulate decides the same requests of sound policies.

Each statement gives a request that all its parts match, and for each part a request that this part does not match.
`test_mutants.py` gives iam-simulate the prover's counterexamples of mutants.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace

import pytest
import z3  # type: ignore[import-untyped]

from access.actions import actions_of, matches
from access.inventory import ResourcePolicy, Role, Statement, as_list
from access.prover import prove
from tests.policies.cases import OTHER_ACCOUNT, VARIANTS
from tests.policies.simulator import Request, Simulator, prover_allows, question

pytestmark = pytest.mark.exhaustive


def requests(statement: Statement, owner: str, account: str) -> Iterator[Request]:
    """Yield requests inside a statement, and outside each of its parts. `owner`: ARN of its resource or role."""
    patterns = as_list(statement.get("Action", statement.get("NotAction")))
    service = patterns[0].partition(":")[0] if ":" in patterns[0] else owner.split(":")[2]
    services = {"iam": "sts"} if owner.split(":")[2] == "iam" and "Principal" in statement else {}
    known = actions_of(services.get(service, service))
    inside = [action for action in known if any(matches(pattern, action) for pattern in patterns)]
    outside = [action for action in known if action not in inside]
    conditions = statement.get("Condition", {}).items()
    keys = {key: (operator, as_list(values)) for operator, keys in conditions for key, values in keys.items()}
    context = {key: _value(operator, values) for key, (operator, values) in keys.items()}
    principal = context.pop("aws:PrincipalArn", None) or _principal(statement, account)
    present = tuple((key, value) for key, value in context.items() if value is not None)
    for pattern in as_list(statement.get("Resource", statement.get("NotResource", owner)))[:2]:
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
                yield replace(request, context=(*others, (key, _other(dict(present).get(key) or "one"))))


def _value(operator: str, values: list[str]) -> str | None:
    """Return a value with which a condition holds. None: an absent key."""
    if operator == "Null":
        return None if values == ["true"] else "one"
    value = re.sub(r"\*|\?", "one", values[0])
    return _other(value) if "Not" in operator else value


def _other(value: str) -> str:
    if value in ("true", "false"):
        return "false" if value == "true" else "true"
    return f"{value}2"


def _principal(statement: Statement, account: str) -> str:
    """Return a principal of a statement: a role or a service. By default, a role of the account."""
    principals = statement.get("Principal", "*")
    kind, value = next(iter(principals.items())) if isinstance(principals, dict) else ("AWS", principals)
    first = str(as_list(value)[0])
    if kind == "Service":
        return first
    number = re.search(r"[0-9]{12}", first)
    return first if ":role/" in first else f"arn:aws:iam::{number[0] if number else account}:role/one"


def compare(policies: Iterable[ResourcePolicy | Role], simulator: Simulator) -> tuple[int, list[str]]:
    """Return the number of requests that both engines decide, and the requests that they decide differently."""
    decided, different = 0, []
    for policy in policies:
        asked = {
            request for statement in policy.statements for request in requests(statement, policy.arn, policy.account)
        }
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


@pytest.mark.parametrize("name", ["organization", "everywhere", "research"])
def test_engines_agree_on_policies(name: str, simulator: Simulator) -> None:
    inventory = VARIANTS[name]().inventory
    # iam-simulate decides the policies of VPC endpoints together with others.
    resources = [policy for policy in inventory.resource_policies.values() if policy.kind != "endpoint"]
    decided, different = compare([*resources, *inventory.roles.values()], simulator)
    assert not different, "\n".join(different[:20])
    assert decided > 500


def role_with(resource: str) -> Role:
    arn = "arn:aws:iam::555555555555:role/one"
    statement = {"Effect": "Allow", "Action": "sagemaker:CreatePresignedDomainUrl", "Resource": resource}
    return Role(arn, "555555555555", arn, ({"Version": "2012-10-17", "Statement": [statement]},))


PROFILE = "arn:aws:sagemaker:us-east-1:555555555555:user-profile/${sagemaker:DomainId}/${sagemaker:UserProfileName}"


@pytest.mark.parametrize("value", ["one", " ", "\x85", "*", "?", "a.c", "${*}", "é", "/"])
def test_engines_agree_on_values_of_variables(value: str, simulator: Simulator) -> None:
    keys = ("sagemaker:DomainId", "sagemaker:UserProfileName")
    role, context = role_with(PROFILE), tuple((key, value) for key in keys)
    for profile in (f"{value}/{value}", "one/abc"):
        resource = f"{PROFILE.partition('$')[0]}{profile}"
        request = Request("sagemaker:CreatePresignedDomainUrl", resource, role.arn, context)
        allowed = simulator.ask(question(role, request))
        assert allowed is (profile == f"{value}/{value}")
        assert prover_allows(role, request) is allowed


@pytest.mark.parametrize("seed", range(5))
def test_counterexample_has_readable_values(seed: int, simulator: Simulator) -> None:
    """With each seed of the solver: no empty value, and no control character."""
    broken, sound = role_with(f"{PROFILE}*"), role_with(PROFILE)
    z3.set_param("smt.random_seed", seed)
    try:
        (found,) = prove(broken, sound.statements)
    finally:
        z3.set_param("smt.random_seed", 0)
    assert found.possible
    assert all(re.fullmatch(r"[A-Za-z0-9:./-]+", value) for value in found.request.values()), found
    assert [simulator.ask(question(role, Request.of(found))) for role in (broken, sound)] == [True, False]
