"""The deletion of a run's payloads."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from cli.scenario.deliveries import ReceivedPayload
from cli.scenario.world import ScenarioWorld, Unseen
from stacks.deployment import Deployment, Names, Place, Resource, SubscriberConfig
from stacks.deployment.names import INLINE, LANDED, PAYLOADS


def clean_up(world: ScenarioWorld, deployment: Deployment, payloads: Sequence[ReceivedPayload]) -> list[Unseen]:
    """Delete all versions of the payloads and of their copies. Return the objects that are left, with the reasons.

    A payload is kept unless it was seen at every subscriber that gets its message: another one may still read it.
    """
    return [left for payload in payloads for left in _remove(world, deployment, payload)]


def _remove(world: ScenarioWorld, deployment: Deployment, sent: ReceivedPayload) -> Iterator[Unseen]:
    names, message_id = Names(deployment), sent.message_id
    receivers = {each.name for each in deployment.subscribers if each.subscribed and _gets(each, sent)}
    unseen = ", ".join(sorted(receivers - sent.arrivals.keys()))
    kept_for = f"perhaps {unseen} still reads it" if unseen else None
    for bucket in (names.publisher.payload_bucket, *names.publisher.replicas.values()):
        yield from _delete(world, bucket.place, bucket.bucket, f"{PAYLOADS}{message_id}", kept_for)
    for subscriber in deployment.subscribers:
        own = names.subscribers[subscriber.name]
        if subscriber.name in sent.arrivals and subscriber.kind != "https":
            yield from _delete(world, own.place, own.staging_bucket, f"{INLINE}{message_id}")
            if subscriber.landing:
                yield from _delete(world, own.place, own.landing_bucket, f"{LANDED}{message_id}")


def _gets(subscriber: SubscriberConfig, sent: ReceivedPayload) -> bool:
    return subscriber.filter_policy_scope == "body" or sent.matches(subscriber)


def _delete(
    world: ScenarioWorld, place: Place, bucket: Resource, key: str, kept_for: str | None = None
) -> Iterator[Unseen]:
    """Delete all versions of an object, unless `kept_for` has a reason."""
    if not world.reaches(place.account):
        yield Unseen(
            f"s3://{bucket.name}/{key}",
            f"no credentials of {place.account}: if it exists, it stays until its lifetime ends",
        )
        return
    s3: Any = world.client("s3", account=place.account, region=place.region)
    owner = {"Bucket": bucket.name, "ExpectedBucketOwner": place.account}
    try:
        page = s3.list_object_versions(**owner, Prefix=key)
        versions = [each for kind in ("Versions", "DeleteMarkers") for each in page.get(kind, ()) if each["Key"] == key]
        if versions and kept_for:
            yield Unseen(f"s3://{bucket.name}/{key}", kept_for)
            return
        for version in versions:
            s3.delete_object(**owner, Key=key, VersionId=version["VersionId"])
    except (BotoCoreError, ClientError) as error:
        yield Unseen(f"s3://{bucket.name}/{key}", str(error))
