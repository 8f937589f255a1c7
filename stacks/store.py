"""Where payloads are, as the functions are told in their environment: the fields of `claim_check.Store`."""

from stacks import names
from stacks.deployment import Deployment, Subscriber


def publisher_store(deployment: Deployment) -> dict[str, str]:
    """The store that pointers point to; the only one its subscribers trust."""
    return {
        "bucket": names.payload_bucket(deployment),
        "prefix": names.PAYLOADS,
        "owner": deployment.publisher.account,
        "region": deployment.publisher.region,
    }


def inbox_store(deployment: Deployment, subscriber: Subscriber) -> dict[str, str]:
    """Where a subscriber puts payloads that came inside their message."""
    return {
        "bucket": names.inbox_bucket(deployment, subscriber),
        "prefix": names.INLINE,
        "owner": subscriber.account,
        "region": subscriber.region,
    }
