"""The second policy engine: iam-simulate in its own Node process. `simulate.mjs` describes the protocol."""

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from access.inventory import Policy


class SimulationError(AssertionError):
    """A question cannot be answered: AWS would reject its policy, action, resource or context."""


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
    block_public: bool = True
    boundary: Policy | None = None
    """The caller's permissions boundary."""
    endpoint: Policy | None = None
    """The policy of the VPC endpoint that the request passes."""


@dataclass(frozen=True)
class Answer:
    allowed: bool
    decision: str
    """`Allowed`, `ImplicitlyDenied` or `ExplicitlyDenied`, or an error in the question."""


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

    def answer(self, questions: Sequence[Question]) -> list[Answer]:
        """Return an answer for each question, in order.

        Raises:
            SimulationError: a question has a context key that AWS does not document for its action. The simulator would
                ignore the key.
        """
        assert self._node.stdin
        assert self._node.stdout
        for question in questions:
            self._send(self._message(question))
        self._send({"answer": True})
        self._node.stdin.flush()
        replies: list[dict[str, Any]] = json.loads(self._node.stdout.readline())
        for question, reply in zip(questions, replies, strict=True):
            if reply.get("ignored"):
                raise SimulationError(f"{question.action} does not have the context keys {reply['ignored']}")
        return [Answer(reply.get("allowed", False), reply.get("decision") or reply["error"]) for reply in replies]

    def _message(self, question: Question) -> dict[str, Any]:
        return {
            "principal": question.principal,
            "action": question.action,
            "resource": question.resource,
            "account": question.account,
            "context": question.context,
            "identity": [self._id("identity", policy) for policy in question.identity],
            "policy": self._policy(question),
            "blockPublic": question.block_public,
            "boundary": question.boundary and self._id("identity", question.boundary),
            "endpoint": question.endpoint and self._id("endpoint", question.endpoint),
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
