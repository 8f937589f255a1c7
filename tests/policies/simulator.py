"""The second policy engine: iam-simulate in its own Node process. `simulate.mjs` describes the protocol."""

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import z3  # type: ignore[import-untyped]

from access import prover
from access.inventory import Policy, ResourcePolicy, Role
from access.prover import Counterexample
from access.terms import MULTIVALUED_KEYS


@dataclass(frozen=True)
class Question:
    """A request with the policies that decide it. Without a principal it is anonymous."""

    principal: str | None
    action: str
    resource: str
    account: str
    """The resource's account."""
    context: dict[str, str | list[str]]
    identity: tuple[Policy, ...]
    policy: Policy | None
    trust: bool = False


class Simulator:
    """A context manager for the process. A question takes about 0.1 ms."""

    def __init__(self) -> None:
        self._node = subprocess.Popen(
            [_node(), str(Path(__file__).with_name("simulate.mjs"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._defined: dict[str, str] = {}
        self._seen: dict[tuple[str, int], tuple[Policy, str]] = {}
        """Ids by kind and `id()` of the policy. The policy is stored too, so that no other object gets its `id()`."""

    def __enter__(self) -> "Simulator":
        return self

    def __exit__(self, *_: object) -> None:
        assert self._node.stdin
        assert self._node.stdout
        self._node.stdin.close()
        self._node.wait(timeout=30)
        self._node.stdout.close()

    def ask(self, question: Question) -> bool | None:
        """Return whether the policies allow a request. None: AWS has no such request, with this resource or context."""
        assert self._node.stdin
        assert self._node.stdout
        self._send(self._message(question))
        self._send({"answer": True})
        self._node.stdin.flush()
        (reply,) = json.loads(self._node.stdout.readline())
        return None if "error" in reply or reply["ignored"] else bool(reply["allowed"])

    def _message(self, question: Question) -> dict[str, Any]:
        return {
            "principal": question.principal,
            "action": question.action,
            "resource": question.resource,
            "account": question.account,
            "context": question.context,
            "identity": [self._id("identity", policy) for policy in question.identity],
            "policy": self._policy(question),
        }

    def _policy(self, question: Question) -> str | None:
        if question.policy is None or not question.policy["Statement"]:
            return None
        return self._id("trust" if question.trust else "resource", question.policy)

    def _id(self, kind: str, policy: Policy) -> str:
        seen = self._seen.get((kind, id(policy)))
        if seen is None:
            key = f"{kind} {json.dumps(policy, sort_keys=True)}"
            if key not in self._defined:
                self._defined[key] = f"p{len(self._defined)}"
                self._send({"define": self._defined[key], "as": kind, "policy": policy})
            seen = self._seen[kind, id(policy)] = (policy, self._defined[key])
        return seen[1]

    def _send(self, message: dict[str, Any]) -> None:
        assert self._node.stdin
        self._node.stdin.write(json.dumps(message) + "\n")


def _node() -> str:
    """Return the Node that is installed next to this Python, or that of the PATH."""
    node = Path(sys.executable).with_name("node")
    return str(node) if node.exists() else "node"


# Requests ------------------------------------------------------------------------------------------------------------

ALLOW_ALL: Policy = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}


@dataclass(frozen=True)
class Request:
    """A request with all of its values. A principal without `arn:` is a service, or anonymous if it is empty."""

    action: str
    resource: str
    principal: str
    context: tuple[tuple[str, str], ...]

    @classmethod
    def of(cls, found: Counterexample) -> "Request":
        """Return the request of a counterexample, with a role of the account for a caller that has no ARN."""
        values = dict(found.request)
        action, resource, caller = (values.pop(name) for name in ("action", "resource", "caller"))
        account, service = values.pop("account", ""), values.pop("name", "")
        context = {key: value.strip() for key, value in values.items() if value != "(absent)"}
        role = context.pop("aws:PrincipalArn", f"arn:aws:iam::{account}:role/one")
        principal = caller if caller.startswith("arn:") else role if account else service
        return cls(action, resource, principal, tuple(context.items()))

    @property
    def account(self) -> str:
        return self.principal.split(":")[4] if self.principal.startswith("arn:") else ""

    @property
    def keys(self) -> dict[str, str]:
        caller = {"aws:PrincipalArn": self.principal, "aws:PrincipalAccount": self.account} if self.account else {}
        return {"aws:SecureTransport": "true", **caller, **dict(self.context)}


def prover_allows(policy: ResourcePolicy | Role, request: Request) -> bool:
    """Return whether the prover's formula of a policy is true for one request."""
    asked = prover._Request(request.action, policy)
    formula = prover._decide(asked, prover._narrowed(policy.statements, request.action))
    values = [(asked.kind, z3.IntVal(prover.PRINCIPAL if request.account else prover.SERVICE))]
    values += [*asked.resource.given(request.resource), *asked.account.given(request.account)]
    values += asked.name.given("" if request.account else request.principal)
    context = {key.lower(): value for key, value in request.keys.items()}
    for name, key in asked.keys.items():
        value = context.get(name, "")
        values.append((key.present, z3.BoolVal(name in context)))
        parts = [*value.split(":", 5), *[""] * 6][:6] if key.is_arn else [value] * len(key.texts)
        values += [pair for text, part in zip(key.texts, parts, strict=True) for pair in text.given(part)]
    decision = z3.simplify(z3.substitute(formula, *values))
    assert z3.is_true(decision) or z3.is_false(decision), decision
    return bool(z3.is_true(decision))


def question(policy: ResourcePolicy | Role, request: Request) -> Question:
    """Return the question whose answer depends on this policy alone: the other side allows all."""
    keys = {key: value.split() if key.lower() in MULTIVALUED_KEYS else value for key, value in request.keys.items()}
    if isinstance(policy, Role):
        key_policy = {"Effect": "Allow", "Principal": {"AWS": policy.account}, "Action": "kms:*", "Resource": "*"}
        resource: Policy = {"Version": "2012-10-17", "Statement": [key_policy]}
        resource_policy = resource if request.action.startswith("kms:") else None
        identity, account, trust = policy.policies, policy.account, False
    else:
        resource_policy, account, trust = policy.policy, policy.account, policy.kind == "role"
        identity = (ALLOW_ALL,) if request.account else ()
    return Question(
        principal=_session(request.principal) or None,
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
