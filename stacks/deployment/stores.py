"""Where payloads are, as the functions are told in their environment: the fields of `claim_check.Store`."""

from stacks.deployment import names
from stacks.deployment.model import Deployment
from stacks.deployment.research import PipelineConfig, ResearchConfig
from stacks.deployment.subscriber import FunctionSubscriberConfig, SqsSubscriberConfig, SubscriberConfig


def trusted_stores(deployment: Deployment, subscriber: SubscriberConfig) -> list[dict[str, object]]:
    """What a subscriber dereferences from, and nowhere else: the publisher's store, by a replica in its own Region
    where there is one."""
    replicas = [
        {"bucket": names.payload_bucket(deployment, region), "region": region}
        for region in names.replicas_near(deployment, subscriber)
    ]
    return [{**publisher_store(deployment), **({"replicas": replicas} if replicas else {})}]


def publisher_store(deployment: Deployment) -> dict[str, str]:
    """The store that pointers point to."""
    return {
        "bucket": names.payload_bucket(deployment),
        "prefix": names.PAYLOADS,
        "owner": deployment.publisher.account,
        "region": deployment.publisher.region,
    }


def staging_store(deployment: Deployment, subscriber: FunctionSubscriberConfig) -> dict[str, str]:
    """Where a subscriber puts payloads that came inside their message."""
    return {
        "bucket": names.staging_bucket(deployment, subscriber),
        "prefix": names.INLINE,
        "owner": subscriber.account,
        "region": subscriber.region,
    }


def landing_store(deployment: Deployment, subscriber: SqsSubscriberConfig) -> dict[str, str]:
    """Where payloads are landed."""
    return {
        "bucket": names.landing_bucket(deployment, subscriber),
        "prefix": names.LANDED,
        "owner": subscriber.account,
        "region": subscriber.region,
    }


def data_set_store(deployment: Deployment, research: ResearchConfig, pipeline: PipelineConfig) -> dict[str, str]:
    """Where payloads become data sets of a research pipeline."""
    return {
        "bucket": names.data_bucket(deployment, research),
        "prefix": names.data_sets(pipeline),
        "owner": research.account,
        "region": research.region,
    }
