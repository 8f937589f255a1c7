"""Faults of stored payloads and their replicas, between sending and delivery."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from botocore.exceptions import ClientError

from tests.faults.environment import Environment
from tests.faults.faults import Chance
from tests.faults.message import CampaignMessage
from tests.faults.run import Run, StorageFault

PERMANENT: frozenset[StorageFault] = frozenset({"payload expired", "payload replaced", "payload truncated"})
"""Faults after which the payload must not be handed off. The others affect only the replica."""


class StorageFaults:
    """Injects storage faults, and repairs them."""

    def __init__(self, environment: Environment, *, seed: int) -> None:
        self._environment, self._chance = environment, Chance(seed)
        self._injectors = {
            "payload expired": self._expire,
            "payload replaced": self._replace,
            "payload truncated": self._truncate,
            "replica lags": self._delete_replica,
            "replica is shorter": self._shorten_replica,
            "replica differs": self._replace_replica,
        }

    def inject(self, run: Run, sent: Iterable[str]) -> dict[str, StorageFault]:
        """Inject the run's storage faults, and return them by message id."""
        injected: dict[str, StorageFault] = {}
        for number, message_id in enumerate(sent):
            if not run.storage_faults or not self._chance.decide(run.storage_fault_share, "storage", message_id):
                continue
            fault = run.storage_faults[number % len(run.storage_faults)]
            try:
                size = self._head(_key(message_id))
            except ClientError:  # an inline payload, or its publication failed
                continue
            self._injectors[fault](_key(message_id), size)
            injected[message_id] = fault
        return injected

    def repair(self, injected: Iterable[str], sent: Mapping[str, CampaignMessage]) -> None:
        """Store the payloads again. S3 replicates them."""
        for message_id in injected:
            self._put(self._environment.payloads, _key(message_id), sent[message_id].payload)

    def _expire(self, key: str, size: int) -> None:
        self._environment.s3.delete_object(Bucket=self._environment.payloads, Key=key)
        self._delete_replica(key, size)

    def _replace(self, key: str, size: int) -> None:
        self._put(self._environment.payloads, key, b"?" * size)

    def _truncate(self, key: str, size: int) -> None:
        self._put(self._environment.payloads, key, b"?" * (size - 1))

    def _delete_replica(self, key: str, _size: int) -> None:
        self._environment.s3.delete_object(Bucket=self._environment.replica, Key=key)

    def _shorten_replica(self, key: str, size: int) -> None:
        self._put(self._environment.replica, key, b"?" * (size - 1))

    def _replace_replica(self, key: str, size: int) -> None:
        self._put(self._environment.replica, key, b"?" * size)

    def _put(self, bucket: str, key: str, body: bytes) -> None:
        # S3 keeps the checksum that the writer chose. With another one, only the application's reading finds a fault.
        self._environment.s3.put_object(Bucket=bucket, Key=key, Body=body, ChecksumAlgorithm="SHA256")

    def _head(self, key: str) -> int:
        size: int = self._environment.s3.head_object(Bucket=self._environment.payloads, Key=key)["ContentLength"]
        return size


def _key(message_id: str) -> str:
    return f"payloads/{message_id}"
