"""Faults of requests to AWS, and their random choice."""

from __future__ import annotations

import hashlib
import json
import random
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import TypeVar

T = TypeVar("T")

JSON_SERVICES = frozenset({"sqs", "states", "ecs", "dynamodb"})


class Effect(Enum):
    """The effect of a fault on a request."""

    REJECTED = "AWS responds with an error and does nothing"
    RESET = "the connection is reset; AWS does nothing"
    CUT_REQUEST = "the connection is reset within the request's body; AWS does nothing"
    SILENCE = "AWS does nothing and does not respond until the client times out"
    LOST_RESPONSE = "AWS carries out the request; the connection is reset before the response"
    CUT_RESPONSE = "AWS carries out the request; the connection is reset within the response's body"


@dataclass(frozen=True)
class Fault:
    """A fault that the proxy can inject."""

    name: str
    """The name in the report."""
    effect: Effect
    services: frozenset[str] = frozenset()
    """The services that have this fault, by their names in a signature. Empty: all services."""
    status: int = 0
    code: str = ""
    """HTTP status and error code of a rejection."""
    weight: float = 1.0
    """Relative frequency."""

    def applies_to(self, service: str) -> bool:
        """Return whether a service has this fault."""
        return not self.services or service in self.services

    def response(self, service: str) -> tuple[str, bytes]:
        """Return content type and body of a rejection, in the format of the service."""
        if service in JSON_SERVICES:
            return "application/x-amz-json-1.0", json.dumps({"__type": self.code, "message": _TEXT}).encode()
        inner = f"<Code>{self.code}</Code><Message>{_TEXT}</Message>"
        if service == "s3":
            return "application/xml", f"<Error>{inner}<RequestId>injected</RequestId></Error>".encode()
        kind = "Sender" if self.status < 500 else "Receiver"
        return "text/xml", f"<ErrorResponse><Error><Type>{kind}</Type>{inner}</Error></ErrorResponse>".encode()


_TEXT = "injected by the fault campaign"


def _rejection(name: str, service: str, status: int, code: str) -> Fault:
    return Fault(name, Effect.REJECTED, frozenset({service}), status, code)


FAULTS: tuple[Fault, ...] = (
    _rejection("S3: 503 SlowDown", "s3", 503, "SlowDown"),
    _rejection("S3: 500 InternalError", "s3", 500, "InternalError"),
    _rejection("S3: clock skew", "s3", 403, "RequestTimeTooSkewed"),
    _rejection("SNS: throttled", "sns", 400, "Throttling"),
    _rejection("SNS: 500 InternalError", "sns", 500, "InternalError"),
    _rejection("SNS: clock skew", "sns", 403, "RequestExpired"),
    _rejection("SQS: throttled", "sqs", 400, "RequestThrottled"),
    _rejection("SQS: 503", "sqs", 503, "ServiceUnavailable"),
    _rejection("Step Functions: throttled", "states", 400, "ThrottlingException"),
    _rejection("Step Functions: 500", "states", 500, "InternalServerError"),
    _rejection("ECS: throttled", "ecs", 400, "ThrottlingException"),
    _rejection("ECS: 500", "ecs", 500, "ServerException"),
    _rejection("DynamoDB: throttled", "dynamodb", 400, "ProvisionedThroughputExceededException"),
    _rejection("DynamoDB: 500", "dynamodb", 500, "InternalServerError"),
    Fault("connection reset", Effect.RESET),
    Fault("reset while sending", Effect.CUT_REQUEST),
    Fault("reset while receiving", Effect.CUT_RESPONSE),
    Fault("response lost", Effect.LOST_RESPONSE),
    Fault("no response", Effect.SILENCE, weight=0.2),  # rare, because each costs its client a timeout
)


class Chance:
    """Random decisions. The decision for a key depends on the seed alone, not on the order of the calls."""

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def decide(self, probability: float, *key: object) -> bool:
        """Return True with this probability."""
        return self._random(*key).random() < probability

    def choose(self, members: Sequence[T], *key: object, weights: Sequence[float] | None = None) -> T:
        """Return one of the members."""
        return self._random(*key).choices(members, weights)[0]

    def _random(self, *key: object) -> random.Random:
        return random.Random(f"{self._seed} {key}")


_LASTING_SHARE = 0.02
_LASTING_REQUESTS = 60


class FaultPicker:
    """Picks a fault, or none, for each request.

    The choice for the n-th request of the same content depends on the seed alone, not on the order of different
    requests. `rate` of all requests fail. For a fiftieth of this rate of the contents, all of the first 60 requests
    fail. This is longer than a client retries, so that the function fails and is invoked again.
    """

    def __init__(self, *, seed: int, rate: float, faults: Iterable[Fault]) -> None:
        self._chance, self._rate, self._faults = Chance(seed), rate, tuple(faults)
        self._requests: Counter[bytes] = Counter()
        self.injected: Counter[str] = Counter()

    def pick(self, service: str, content: bytes) -> Fault | None:
        """Pick a fault for a request. `content` is the same for a repeated request."""
        faults = [fault for fault in self._faults if fault.applies_to(service)]
        if not faults:
            return None
        identity = hashlib.sha256(content).digest()
        number = self._requests[identity]
        self._requests[identity] += 1
        lasting = number < _LASTING_REQUESTS and self._chance.decide(self._rate * _LASTING_SHARE, "lasting", identity)
        if not lasting and not self._chance.decide(self._rate, identity, number):
            return None
        weights = [fault.weight for fault in faults]
        fault = self._chance.choose(faults, "which", identity, 0 if lasting else number, weights=weights)
        self.injected[fault.name] += 1
        return fault
