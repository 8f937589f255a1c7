"""The other engine: iam-simulate, in its own Node process. See `simulate.mjs` for what goes over the line."""

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from access.inventory import Policy


class SimulationError(AssertionError):
    """The simulator could not answer: a policy, an action or a resource is not as AWS would take it."""


@dataclass(frozen=True)
class Question:
    """One request, and the policies that decide it. `principal` None is an unsigned request."""

    principal: str | None
    action: str
    resource: str
    account: str
    """Of the resource."""
    context: dict[str, str | list[str]]
    identity: tuple[Policy, ...]
    policy: Policy | None
    trust: bool = False
    block_public: bool = True
    bounds: Policy | None = None
    """The caller's permission boundary."""
    through: Policy | None = None
    """The policy of the VPC's endpoint that it goes through."""


@dataclass(frozen=True)
class Answer:
    allowed: bool
    by: str
    """`Allowed`, `ImplicitlyDenied` or `ExplicitlyDenied`; or what was wrong with the question."""


class Simulator:
    """A context manager: the process lives for a whole test session, at about 0.1 ms a question."""

    def __init__(self) -> None:
        self._node = subprocess.Popen(
            [_node(), str(Path(__file__).with_name("simulate.mjs"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._defined: dict[str, str] = {}
        self._seen: dict[tuple[str, int], tuple[Policy, str]] = {}
        """Ids by the policy object, which is kept, so that its identity stays its own."""

    def __enter__(self) -> "Simulator":
        return self

    def __exit__(self, *_: object) -> None:
        assert self._node.stdin
        assert self._node.stdout
        self._node.stdin.close()
        self._node.wait(timeout=30)
        self._node.stdout.close()

    def answer(self, questions: Sequence[Question]) -> list[Answer]:
        """An answer for each question, in order.

        Raises:
            SimulationError: when a question has a context key that AWS does not know for its action: it would have been
                left out, and the answer would be to another question.
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
                raise SimulationError(f"{question.action}: context keys {reply['ignored']} are not of this action")
        return [Answer(reply.get("allowed", False), reply.get("by") or reply["error"]) for reply in replies]

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
            "bounds": question.bounds and self._id("identity", question.bounds),
            "through": question.through and self._id("endpoint", question.through),
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
    """The Node that is installed beside this Python, or whichever there is."""
    beside = Path(sys.executable).with_name("node")
    return str(beside) if beside.exists() else "node"
