"""Where payloads are, as the functions are told in their environment: the fields of `claim_check.Store`."""

from stacks import names
from stacks.deployment import Deployment, FunctionSubscriber, Subscriber


def trusted_stores(deployment: Deployment, _: Subscriber) -> list[dict[str, str]]:
    """What a subscriber dereferences from, and nowhere else: the publisher's store."""
    return [publisher_store(deployment)]


def publisher_store(deployment: Deployment) -> dict[str, str]:
    """The store that pointers point to."""
    return {
        "bucket": names.payload_bucket(deployment),
        "prefix": names.PAYLOADS,
        "owner": deployment.publisher.account,
        "region": deployment.publisher.region,
    }


def inbox_store(deployment: Deployment, subscriber: FunctionSubscriber) -> dict[str, str]:
    """Where a subscriber puts payloads that came inside their message."""
    return {
        "bucket": names.inbox_bucket(deployment, subscriber),
        "prefix": names.INLINE,
        "owner": subscriber.account,
        "region": subscriber.region,
    }
