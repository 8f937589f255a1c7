"""The second policy engine: iam-simulate in its own Node process. `simulate.mjs` describes the protocol."""

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from access.inventory import Policy


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
