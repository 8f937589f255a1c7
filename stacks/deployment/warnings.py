"""Settings of a subscriber that are possible, and that are probably a mistake."""

from __future__ import annotations

from collections.abc import Iterator
from math import ceil

from stacks.deployment.filter_reach import reaching
from stacks.deployment.model import Deployment
from stacks.deployment.subscriber import SubscriberConfig

READ_BYTES_PER_SECOND = 20_000_000
"""Assumed rate at which a function reads a payload: the lowest, across Regions."""

READERS_BEFORE_AN_INCREASE = 1_650
"""Characters of role ARNs, with three for each of 20 roles. (IAM user guide, "IAM and AWS STS quotas".)"""


def warnings(deployment: Deployment, subscriber: SubscriberConfig) -> Iterator[tuple[str, str]]:
    """Yield the id and the text of each warning."""
    key = f"subscribers[{deployment.subscribers.index(subscriber)}]"
    policy = subscriber.filter_policy if subscriber.filter_policy_scope == "attributes" else None
    if policy and set(reaching(deployment, policy)) == {"library"}:
        yield (
            "filter-policy",
            f'{key}.filter_policy, of "{subscriber.name}": it matches no event and no upload, because no attribute of '
            "theirs has such a name or value. It can only match messages of the library, whose attributes are not "
            "known here. Check its names and values.",
        )
    readers = () if subscriber.kind == "lambda" else subscriber.reader_principals
    if (characters := sum(map(len, readers))) > READERS_BEFORE_AN_INCREASE:
        yield (
            "reader-principals",
            f'{key}.reader_principals, of "{subscriber.name}": they have {characters} characters. IAM allows about '
            f"{READERS_BEFORE_AN_INCREASE} in a trust policy of 2 KB. Request an increase of the quota, or use one "
            "role that the others may assume.",
        )
    code = None if subscriber.kind == "https" else subscriber.code
    largest = deployment.publisher.outbox.maximum_bytes
    needed = ceil(largest / READ_BYTES_PER_SECOND)
    if code and code.timeout_seconds < needed and deployment.publisher.offload != "never":
        yield (
            "code-timeout",
            f'{key}.code.timeout_seconds = {code.timeout_seconds}, of "{subscriber.name}": the largest upload takes '
            f"{needed} s to read, at {READ_BYTES_PER_SECOND // 10**6} MB/s. Own code that reads all of it fails, and "
            f"the message is a dead letter. Use at least {needed}, lower publisher.outbox.maximum_bytes = {largest}, "
            "or use an ECS task.",
        )
