"""Every physical name and ARN that two accounts, or two stacks, have to agree on.

Names are all that crosses an account boundary: the publisher's stack allows by them, a subscriber's stack uses them.
Pure functions of the deployment file; nothing here asks AWS.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from stacks.regions import dns_suffix, is_opt_in, partition

if TYPE_CHECKING:
    from stacks.deployment import Deployment, LambdaSubscriber, SqsSubscriber, Subscriber

PAYLOADS = "payloads/"
"""Prefix, in the payload bucket, of what pointers point to."""
OUTBOX = "outbox/"
"""Prefix, in the payload bucket, of uploads that are to become messages."""
INLINE = "inline/"
"""Prefix, in a subscriber's inbox, of payloads that came inside their message."""


def _arn(service: str, region: str, account: str, resource: str) -> str:
    # IAM and S3 ARNs leave the Region out, so the partition is the caller's to give when there is none.
    return f"arn:{partition(region)}:{service}:{region}:{account}:{resource}"


# The publisher's account -------------------------------------------------------------------------------------------


def publisher_stack(deployment: Deployment) -> str:
    return f"{deployment.name}-publisher"


def payload_bucket(deployment: Deployment) -> str:
    return f"{deployment.name}-payloads-{deployment.publisher.account}-{deployment.publisher.region}"


def payload_bucket_arn(deployment: Deployment) -> str:
    return f"arn:{partition(deployment.publisher.region)}:s3:::{payload_bucket(deployment)}"


def topic(deployment: Deployment) -> str:
    return f"{deployment.name}-messages{_fifo_suffix(deployment)}"


def topic_arn(deployment: Deployment) -> str:
    return _arn("sns", deployment.publisher.region, deployment.publisher.account, topic(deployment))


def event_bus(deployment: Deployment) -> str:
    return deployment.name


def event_bus_arn(deployment: Deployment) -> str:
    publisher = deployment.publisher
    return _arn("events", publisher.region, publisher.account, f"event-bus/{event_bus(deployment)}")


def publish_function(deployment: Deployment) -> str:
    return f"{deployment.name}-publish"


def publish_dead_letter_queue(deployment: Deployment) -> str:
    return f"{deployment.name}-publish-dead-letters"


def publisher_role(deployment: Deployment) -> str:
    """The role that an application in the publisher's account assumes to publish with the library."""
    return f"{deployment.name}-publisher"


def publisher_role_arn(deployment: Deployment) -> str:
    publisher = deployment.publisher
    return f"arn:{partition(publisher.region)}:iam::{publisher.account}:role/{publisher_role(deployment)}"


def any_key_arn(deployment: Deployment) -> str:
    """Any KMS key of the publisher's account and Region: a key's ARN cannot be known in another account, so a reader's
    own policy names this and narrows it by conditions; the key's policy decides."""
    return _arn("kms", deployment.publisher.region, deployment.publisher.account, "key/*")


def s3_endpoint(region: str) -> str:
    """What `kms:ViaService` says when S3 in that Region uses a key for its caller."""
    return f"s3.{region}.{dns_suffix(region)}"


# A subscriber's account --------------------------------------------------------------------------------------------


def subscriber_stack(deployment: Deployment, subscriber: Subscriber) -> str:
    return f"{deployment.name}-{subscriber.name}"


def redrive_stack(deployment: Deployment, subscriber: Subscriber) -> str:
    """The stack of a subscriber in another Region than the topic's: holds its redrive queue alone."""
    return f"{deployment.name}-{subscriber.name}-redrive"


def queue(deployment: Deployment, subscriber: SqsSubscriber) -> str:
    return f"{deployment.name}-{subscriber.name}{_fifo_suffix(deployment)}"


def queue_arn(deployment: Deployment, subscriber: SqsSubscriber) -> str:
    return _arn("sqs", subscriber.region, subscriber.account, queue(deployment, subscriber))


def dead_letter_queue(deployment: Deployment, subscriber: Subscriber) -> str:
    """Where what the subscriber could not process ends. FIFO where the subscriber's own queue is (SQS asks for it)."""
    return f"{deployment.name}-{subscriber.name}-dead-letters{_fifo_suffix(deployment)}"


def redrive_queue(deployment: Deployment, subscriber: Subscriber) -> str:
    """Where what SNS could not deliver to the subscriber ends."""
    return f"{deployment.name}-{subscriber.name}-redrive{_fifo_suffix(deployment)}"


def redrive_queue_arn(deployment: Deployment, subscriber: Subscriber) -> str:
    """In the subscriber's account and the *topic's* Region: SNS asks for both."""
    return _arn("sqs", deployment.publisher.region, subscriber.account, redrive_queue(deployment, subscriber))


def consume_function(deployment: Deployment, subscriber: Subscriber) -> str:
    return f"{deployment.name}-{subscriber.name}-consume"


def consume_function_arn(deployment: Deployment, subscriber: Subscriber) -> str:
    name = consume_function(deployment, subscriber)
    return _arn("lambda", subscriber.region, subscriber.account, f"function:{name}")


def endpoint_arn(deployment: Deployment, subscriber: Subscriber) -> str:
    """What the subscriber subscribes to the topic: its queue, or its function."""
    if subscriber.kind == "sqs":
        return queue_arn(deployment, subscriber)
    return consume_function_arn(deployment, subscriber)


def reader_role(deployment: Deployment, subscriber: Subscriber) -> str:
    """The role of the subscriber's consume function."""
    return f"{deployment.name}-{subscriber.name}-reader"


def task_role(deployment: Deployment, subscriber: LambdaSubscriber) -> str:
    """The role of the subscriber's ECS task, which reads the payload too."""
    return f"{deployment.name}-{subscriber.name}-task"


def reader_role_arns(deployment: Deployment, subscriber: Subscriber) -> list[str]:
    """The roles, all in the subscriber's account, that may read payloads for it."""
    roles = [reader_role(deployment, subscriber)]
    if subscriber.kind == "lambda":
        roles.append(task_role(deployment, subscriber))
    return [f"arn:{partition(subscriber.region)}:iam::{subscriber.account}:role/{role}" for role in roles]


def inbox_bucket(deployment: Deployment, subscriber: Subscriber) -> str:
    return f"{deployment.name}-{subscriber.name}-inbox-{subscriber.account}-{subscriber.region}"


def state_machine(deployment: Deployment, subscriber: SqsSubscriber) -> str:
    return f"{deployment.name}-{subscriber.name}"


def cluster(deployment: Deployment, subscriber: LambdaSubscriber) -> str:
    return f"{deployment.name}-{subscriber.name}"


# Principals --------------------------------------------------------------------------------------------------------


def account_principal_arn(account: str, region: str) -> str:
    return f"arn:{partition(region)}:iam::{account}:root"


def sns_principal(*, topic_region: str, endpoint_region: str) -> str:
    """The service principal SNS delivers as.

    Across Regions it is a Regional one when either Region is opt-in; a policy that names the global one would drop
    every message without a word. (SNS developer guide, "different Region".)
    """
    if topic_region != endpoint_region:
        for region in (endpoint_region, topic_region):
            if is_opt_in(region):
                return f"sns.{region}.amazonaws.com"
    return "sns.amazonaws.com"


def _fifo_suffix(deployment: Deployment) -> str:
    return ".fifo" if deployment.publisher.fifo else ""
