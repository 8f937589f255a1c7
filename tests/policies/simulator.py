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


class Simulator:
    """A context manager for the process. A question takes about a millisecond."""

    def __init__(self) -> None:
        self._node = subprocess.Popen(
            [_node(), str(Path(__file__).with_name("simulate.mjs"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> "Simulator":
        return self

    def __exit__(self, *_: object) -> None:
        self._node.communicate(timeout=30)

    def ask(self, question: dict[str, Any]) -> bool | None:
        """Return whether the policies allow a request. None: AWS has no such request, with this resource or context."""
        assert self._node.stdin
        assert self._node.stdout
        self._node.stdin.write(json.dumps(question) + "\n")
        self._node.stdin.flush()
        answer: bool | None = json.loads(self._node.stdout.readline())
        return answer


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
        context = {key: value for key, value in values.items() if value != "(absent)"}
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


def question(policy: ResourcePolicy | Role, request: Request) -> dict[str, Any]:
    """Return the question whose answer depends on this policy alone: the other side allows all."""
    own_key: Policy | None = None
    if isinstance(policy, Role) and request.action.startswith("kms:"):
        key_policy = {"Effect": "Allow", "Principal": {"AWS": policy.account}, "Action": "kms:*", "Resource": "*"}
        own_key = {"Version": "2012-10-17", "Statement": [key_policy]}
    identity = policy.policies if isinstance(policy, Role) else (ALLOW_ALL,) if request.account else ()
    return {
        "principal": _session(request.principal) or None,
        "action": request.action,
        "resource": request.resource,
        "account": policy.account,
        "context": {
            key: value.split() if key.lower() in MULTIVALUED_KEYS else value for key, value in request.keys.items()
        },
        "identity": identity,
        "policy": own_key if isinstance(policy, Role) else policy.policy,
        "kind": "trust" if getattr(policy, "kind", "") == "role" else "resource",
    }


def _session(principal: str) -> str:
    """Return the session of a role. A request's principal is a session, while `aws:PrincipalArn` is the role."""
    head, _, role = principal.partition(":role/")
    return f"{head.replace(':iam:', ':sts:')}:assumed-role/{role}/session" if role else principal
