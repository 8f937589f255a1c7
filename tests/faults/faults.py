"""The faults of a request to AWS, and the dice that choose them."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

JSON_SERVICES = frozenset({"sqs", "states", "ecs", "dynamodb"})


class Effect(Enum):
    """What happens to the request."""

    REFUSED = "answered with an error; AWS does nothing"
    RESET = "the connection is reset; AWS does nothing"
    CUT_REQUEST = "the connection is reset in the middle of the request's body; AWS does nothing"
    SILENCE = "no answer comes, until the client gives up; AWS does nothing"
    LOST_ANSWER = "AWS does what it was asked to, and the connection is reset before the answer"
    CUT_ANSWER = "AWS does what it was asked to, and the connection is reset in the middle of the answer's body"


@dataclass(frozen=True)
class Fault:
    """name: as in the report. services: whom it can happen to, by their names in a signature; none is everybody.
    status, code: of a refusal. weight: how often it is chosen among others."""

    name: str
    effect: Effect
    services: frozenset[str] = frozenset()
    status: int = 0
    code: str = ""
    weight: float = 1.0

    def concerns(self, service: str) -> bool:
        return not self.services or service in self.services

    def answer(self, service: str) -> tuple[str, bytes]:
        """Content type and body of the refusal, in the service's own wire format."""
        if service in JSON_SERVICES:
            return "application/x-amz-json-1.0", json.dumps({"__type": self.code, "message": _TEXT}).encode()
        inner = f"<Code>{self.code}</Code><Message>{_TEXT}</Message>"
        if service == "s3":
            return "application/xml", f"<Error>{inner}<RequestId>injected</RequestId></Error>".encode()
        kind = "Sender" if self.status < 500 else "Receiver"
        return "text/xml", f"<ErrorResponse><Error><Type>{kind}</Type>{inner}</Error></ErrorResponse>".encode()


_TEXT = "injected by the fault campaign"


def _refusal(name: str, service: str, status: int, code: str) -> Fault:
    return Fault(name, Effect.REFUSED, frozenset({service}), status, code)


FAULTS: tuple[Fault, ...] = (
    _refusal("S3: 503 SlowDown", "s3", 503, "SlowDown"),
    _refusal("S3: 500 InternalError", "s3", 500, "InternalError"),
    _refusal("S3: clock skew", "s3", 403, "RequestTimeTooSkewed"),
    _refusal("SNS: throttled", "sns", 400, "Throttling"),
    _refusal("SNS: 500 InternalError", "sns", 500, "InternalError"),
    _refusal("SNS: clock skew", "sns", 403, "RequestExpired"),
    _refusal("SQS: throttled", "sqs", 400, "RequestThrottled"),
    _refusal("SQS: 503", "sqs", 503, "ServiceUnavailable"),
    _refusal("Step Functions: throttled", "states", 400, "ThrottlingException"),
    _refusal("Step Functions: 500", "states", 500, "InternalServerError"),
    _refusal("ECS: throttled", "ecs", 400, "ThrottlingException"),
    _refusal("ECS: 500", "ecs", 500, "ServerException"),
    _refusal("DynamoDB: throttled", "dynamodb", 400, "ProvisionedThroughputExceededException"),
    _refusal("DynamoDB: 500", "dynamodb", 500, "InternalServerError"),
    Fault("connection reset", Effect.RESET),
    Fault("reset while sending", Effect.CUT_REQUEST),
    Fault("reset while receiving", Effect.CUT_ANSWER),
    Fault("answer lost", Effect.LOST_ANSWER),
    Fault("no answer", Effect.SILENCE, weight=0.2),  # each costs its client a time-out
)

_LASTING = 0.02
_LASTS = 60


class Dice:
    """Chooses, for each request, the fault that it meets or none.

    The same seed chooses the same for the n-th request of the same content, whatever is asked at the same time. `rate`
    of all requests fail; and for one in fifty of the contents that fail at first, all of the first 60 requests do:
    longer than a client retries, so that a function fails, is invoked again, and gives up.
    """

    def __init__(self, *, seed: int, rate: float, faults: Iterable[Fault]) -> None:
        self._seed, self._rate, self._faults = seed, rate, tuple(faults)
        self._asked: Counter[bytes] = Counter()
        self.injected: Counter[str] = Counter()

    def throw(self, service: str, content: bytes) -> Fault | None:
        """content: what tells this request from others, the same again when it is repeated."""
        faults = [fault for fault in self._faults if fault.concerns(service)]
        if not faults:
            return None
        identity = hashlib.sha256(content).digest()
        time = self._asked[identity]
        self._asked[identity] += 1
        first = self._number(identity, 0)
        lasting = first < self._rate * _LASTING and time < _LASTS
        if not lasting and self._number(identity, time) >= self._rate:
            return None
        chosen = self._choose(faults, self._number(identity, 0 if lasting else time, "which"))
        self.injected[chosen.name] += 1
        return chosen

    def _number(self, identity: bytes, time: int, what: str = "") -> float:
        text = f"{self._seed} {identity.hex()} {time} {what}"
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:7], "big") / 2**56

    @staticmethod
    def _choose(faults: list[Fault], number: float) -> Fault:
        left = number * sum(fault.weight for fault in faults)
        for fault in faults:
            left -= fault.weight
            if left < 0:
                return fault
        return faults[-1]
