"""Physical names and ARNs that two accounts, or two stacks, must agree on.

Stacks of different accounts share names, not references: the publisher's policies name a subscriber's resources before
they exist. `Names` is made once from the deployment file. Stacks, commands and tests get its parts.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from claim_check import Replica, Store
from stacks.deployment.model import Deployment
from stacks.deployment.regions import dns_suffix, is_opt_in_for_sns, known_regions, partition
from stacks.deployment.research import App, ImageConfig, ResearchConfig, UserConfig
from stacks.deployment.subscriber import SubscriberConfig

PAYLOADS = "payloads/"
"""Prefix of offloaded payloads in the payload bucket."""
OUTBOX = "outbox/"
"""Prefix of uploads in the payload bucket."""
INLINE = "inline/"
"""Prefix of inline payloads in a staging bucket."""
LANDED = "landed/"
"""Prefix of payloads in a landing bucket."""
SHARED = "shared/"
"""Prefix, in the data bucket, of objects that all researchers and jobs read and write."""
USERS = "users/"
"""Prefix, in the data bucket, of the researchers' private prefixes."""
VERSION_OUTPUT = "CoatcheckVersion"
"""The output of each stack with its version of coatcheck. A tag would change every resource."""
END = "--"
"""End of a name that is the beginning of other names. No name of the deployment file contains it, so that `lab--*`
matches no job of the deployment `lab-two`."""
_ECR_IMAGE = re.compile(r"(\d{12})\.dkr\.ecr\.([a-z0-9-]+)\.([a-z0-9.-]+)/([^:@]+).*")
_APP_SUFFIX: dict[App, str] = {"JupyterLab": "", "CodeEditor": "-code-editor", "KernelGateway": "-kernel"}


@dataclass(frozen=True)
class Resource:
    """A resource's name and ARN. The name is unique in its account and Region."""

    name: str
    arn: str

    @property
    def region(self) -> str:
        """The Region in the ARN."""
        return self.arn.split(":")[3]

    @property
    def account(self) -> str:
        """The account in the ARN."""
        return self.arn.split(":")[4]


@dataclass(frozen=True)
class Place:
    """An account and a Region."""

    account: str
    region: str

    @property
    def partition(self) -> str:
        """Such as `aws` or `aws-cn`."""
        return partition(self.region)

    @property
    def account_arn(self) -> str:
        """The principal of the whole account."""
        return f"arn:{self.partition}:iam::{self.account}:root"

    def named(self, service: str, name: str, kind: str = "") -> Resource:
        """Return a Regional resource. `kind` precedes the name in the ARN, with its separator: `event-bus/`."""
        return Resource(name, f"arn:{self.partition}:{service}:{self.region}:{self.account}:{kind}{name}")

    def role(self, name: str) -> Resource:
        """Return a role. IAM is global: its ARNs have no Region."""
        return Resource(name, f"arn:{self.partition}:iam::{self.account}:role/{name}")

    def policy(self, name: str) -> Resource:
        """Return a managed policy of the account."""
        return Resource(name, f"arn:{self.partition}:iam::{self.account}:policy/{name}")

    def bucket(self, name: str) -> Resource:
        """Return a bucket. Its ARN has neither Region nor account."""
        return Resource(name, f"arn:{self.partition}:s3:::{name}")


def repository_of(image: str) -> Resource | None:
    """Return the ECR repository of an image, in any account, or None if the image is in another registry."""
    match = _ECR_IMAGE.fullmatch(image)
    if not match or match[2] not in known_regions() or match[3] != dns_suffix(match[2]):
        return None
    account, region, _, name = match.groups()
    return Place(account, region).named("ecr", name, "repository/")


def via_s3(*regions: str) -> str | list[str]:
    """Return the values of `kms:ViaService` when S3 in one of the Regions uses a key for its caller.

    It is not documented whether the value ends in the domain of the partition. No other service has the other value.
    """
    values = [f"s3.{region}.{suffix}" for region in regions for suffix in (dns_suffix(region), "amazonaws.com")]
    first, *others = dict.fromkeys(values)
    return [first, *others] if others else first


class PayloadBucketNames:
    """The payload bucket, or its replica in another Region, and the KMS key that encrypts it."""

    def __init__(self, prefix: str, place: Place) -> None:
        self.place = place
        self.bucket = place.bucket(f"{prefix}-payloads-{place.account}-{place.region}")
        self.payloads_arn = f"{self.bucket.arn}/{PAYLOADS}*"
        self.key_arn_pattern = place.named("kms", "*", "key/").arn
        """Pattern for the bucket's key. The key's ARN is unknown in other stacks, so a role's policy allows all keys of
        the account and Region, under conditions. The key's policy decides."""
        self.via_service = via_s3(place.region)


class ReplicaNames(PayloadBucketNames):
    """A replica of the payload bucket, with its stack and its key."""

    def __init__(self, prefix: str, place: Place) -> None:
        super().__init__(prefix, place)
        self.stack = f"{prefix}-replica-{place.region}"
        self.key_alias = place.named("kms", f"alias/{prefix}-replica")
        self.replication_rule = f"Replicate-{place.region}"
        """The payload bucket's replication rule for this Region, a dimension of S3's metrics."""


class PublisherNames:
    """Names in the publisher's account."""

    def __init__(self, prefix: str, place: Place, *, fifo: bool, replica_regions: tuple[str, ...]) -> None:
        self.prefix = prefix
        self.place = place
        self.fifo_suffix = ".fifo" if fifo else ""
        self.stack = f"{prefix}-publisher"
        self.topic = place.named("sns", f"{prefix}-messages{self.fifo_suffix}")
        self.event_bus = place.named("events", prefix, "event-bus/")
        self.archive = place.named("events", f"{prefix}-unmatched", "archive/")
        """The archive of events that are not published, because of their detail-type."""
        self.publish_function = place.named("lambda", f"{prefix}-publish", "function:")
        self.publish_role = place.role(f"{prefix}-publish")
        """The publish function's role. Senders' buses accept events from this role only."""
        self.sender_bus = f"arn:{place.partition}:events:{{place}}:event-bus/{prefix}-{{name}}-sender"
        """The ARN of a sender's event bus. `{place}` is Region and account, `{name}` the sender's name."""
        self.dead_letter_queue = place.named("sqs", f"{prefix}-publish-dead-letters")
        self.role = place.role(f"{prefix}-publisher")
        """The role that applications of the publisher's account assume to publish with the library."""
        self.payload_bucket = PayloadBucketNames(prefix, place)
        self.replicas = {region: ReplicaNames(prefix, Place(place.account, region)) for region in replica_regions}

    @property
    def store(self) -> Store:
        """The store that pointers point to."""
        return Store(self.payload_bucket.bucket.name, PAYLOADS, self.place.account, self.place.region)

    def sns_principals(self, endpoint_region: str) -> tuple[str, ...]:
        """Return the service principals of SNS's deliveries to an endpoint in a Region.

        Across Regions the principal can be Regional if either Region is opt-in for SNS. The cases are
        not documented, and with another principal in its policy a queue would silently receive nothing. So the policy
        has both, and the topic's ARN as condition. (SNS developer guide, "different Region".)
        """
        across = {endpoint_region, self.place.region} if endpoint_region != self.place.region else set()
        regional = [f"sns.{region}.amazonaws.com" for region in sorted(across) if is_opt_in_for_sns(region)]
        return ("sns.amazonaws.com", *regional)


class SenderNames:
    """Names in a sender's account."""

    def __init__(self, name: str, place: Place, publisher: PublisherNames) -> None:
        own = f"{publisher.prefix}-{name}-sender"
        self.name = name
        self.place = place
        self.publisher = publisher
        self.stack = own
        self.event_bus = Resource(own, publisher.sender_bus.format(place=f"{place.region}:{place.account}", name=name))
        """The bus for events about the sender's messages: published, or refused with the reason."""
        self.role = place.role(own)
        """The role that applications of the sender's account assume to put events and to upload."""
        self.outbox = f"{OUTBOX}{name}/"
        """Prefix, in the payload bucket, of the sender's uploads. No other sender may write there."""


class SubscriberNames:
    """Names in a subscriber's account. Some names are for one kind of subscriber only."""

    def __init__(self, subscriber: SubscriberConfig, publisher: PublisherNames) -> None:
        prefix, name = f"{publisher.prefix}-{subscriber.name}", subscriber.name
        place = Place(subscriber.account, subscriber.region)
        topic_place = Place(subscriber.account, publisher.place.region)
        self.publisher = publisher
        self.name = name
        self.kind = subscriber.kind
        self.application = None if subscriber.kind == "https" else subscriber.application
        self.subscribed = subscriber.subscribed
        self.place = place
        self.stack = prefix
        self.undelivered_stack = f"{prefix}-undelivered"
        """The stack of the undelivered queue, for a subscriber in another Region than the topic."""
        self.undelivered_queue = topic_place.named("sqs", f"{prefix}-undelivered{publisher.fifo_suffix}")
        """The queue for messages that SNS could not deliver. SNS requires the topic's Region."""
        self.queue = place.named("sqs", f"{prefix}{publisher.fifo_suffix}")
        self.dead_letter_queue = place.named("sqs", f"{prefix}-dead-letters{publisher.fifo_suffix}")
        """The queue for messages that the subscriber could not process. SQS requires FIFO if the queue is FIFO."""
        self.consume_function = place.named("lambda", f"{prefix}-consume", "function:")
        self.staging_bucket = place.bucket(f"{prefix}-staging-{place.account}-{place.region}")
        self.landing_bucket = place.bucket(f"{prefix}-landing-{place.account}-{place.region}")
        self.copy_function = place.named("lambda", f"{prefix}-copy", "function:")
        self.pipeline_trigger_function = place.named("lambda", f"{prefix}-pipeline-trigger", "function:")
        self.pipeline_trigger_dead_letter_queue = place.named("sqs", f"{prefix}-pipeline-trigger-dead-letters")
        self.event_bus = place.named("events", prefix, "event-bus/")
        """The subscriber's event bus, for an event about each processed payload."""
        self.state_machine = place.named("states", prefix, "stateMachine:")
        self.cluster = place.named("ecs", prefix, "cluster/")
        self.tasks_arn = place.named("ecs", f"{prefix}/*", "task/").arn
        """All tasks of the subscriber's cluster."""
        self.task_repository = place.named("ecr", prefix, "repository/")
        self.task_build_function = place.named("lambda", f"{prefix}-image-build", "function:")
        self.idempotency_table = place.named("dynamodb", f"{prefix}-idempotency", "table/")
        self.reader_role = place.role(f"{prefix}-reader")
        """The consume function's role. For `https` and a polled queue, the role of the subscriber's service."""
        self.task_role = place.role(f"{prefix}-task")
        self.copy_role = place.role(f"{prefix}-copy")
        self.pipeline_trigger_role = place.role(f"{prefix}-pipeline-trigger")
        self.reader_roles: tuple[Resource, ...] = (
            self.reader_role,
            *([self.task_role] if subscriber.kind != "https" and subscriber.application == "ecs_task" else []),
            *([self.copy_role] if subscriber.kind != "https" and subscriber.landing else []),
            *([self.pipeline_trigger_role] if subscriber.kind != "https" and subscriber.pipeline else []),
        )
        """The roles that may read payloads."""
        self.roles = (self.reader_role, self.task_role, self.copy_role, self.pipeline_trigger_role)
        """All roles with names, also those of other applications."""
        self._copies = not {self.copy_role, self.pipeline_trigger_role}.isdisjoint(self.reader_roles)
        endpoints = {"sqs": self.queue.arn, "lambda": self.consume_function.arn}
        self.endpoint = subscriber.endpoint if subscriber.kind == "https" else endpoints[subscriber.kind]
        """The endpoint of the subscription."""
        self.replicas = tuple(names for region, names in publisher.replicas.items() if region == place.region)
        """The replica in the subscriber's Region, or none. A replica is read before the payload bucket."""

    def via_service(self, bucket: PayloadBucketNames) -> str | list[str]:
        """Return the values of `kms:ViaService` when S3 reads from the bucket for a reader role.

        S3 of the target's Region makes a copy between Regions. It is not documented which of them uses the key.
        """
        return via_s3(bucket.place.region, *((self.place.region,) if self._copies else ()))

    @property
    def has_consume_function(self) -> bool:
        """Whether a function of coatcheck consumes the messages."""
        return self.application not in (None, "queue")

    @property
    def staging_store(self) -> Store:
        """The store of payloads that came inline."""
        return Store(self.staging_bucket.name, INLINE, self.place.account, self.place.region)

    @property
    def landing_store(self) -> Store:
        """The store of landed payloads."""
        return Store(self.landing_bucket.name, LANDED, self.place.account, self.place.region)

    @property
    def trusted_stores(self) -> tuple[Store, ...]:
        """The stores whose pointers the subscriber accepts: the publisher's, with the replica in its Region."""
        replicas = tuple(Replica(replica.bucket.name, replica.place.region) for replica in self.replicas)
        return (replace(self.publisher.store, replicas=replicas),)

    @property
    def handoff_stores(self) -> tuple[Store, ...]:
        """The stores of pointers in hand-offs: the trusted stores and the staging store."""
        return (*self.trusted_stores, self.staging_store)


class ResearchNames:
    """Names in the research account."""

    def __init__(self, prefix: str, research: ResearchConfig) -> None:
        place = Place(research.account, research.region)
        self.prefix = prefix
        self.place = place
        self.stack = f"{prefix}-research"
        self.budget_stack = f"{prefix}-research-budget"
        """The stack of the budget, for a Region without budgets."""
        self.domain = f"{prefix}-research"
        self.data_bucket = place.bucket(f"{prefix}-research-{place.account}-{place.region}")
        self.processing_role = place.role(f"{prefix}-processing")
        self.via_service = via_s3(place.region)
        self.default_studio_role = place.role(f"{prefix}-studio")
        """The role of researchers without a profile in the deployment file."""
        self.image_build_function = place.named("lambda", f"{prefix}-research-image-build", "function:")
        self.clean_up_function = place.named("lambda", f"{prefix}-domain-clean-up", "function:")
        self.workstation = f"{prefix}-workstation"
        self.job_prefix = f"{prefix}{END}"
        """Beginning of the names of jobs. Researchers may start and stop these jobs only."""

    def image_repository(self, image: ImageConfig) -> Resource:
        """Return the ECR repository of an image."""
        return self.place.named("ecr", f"{self.prefix}-research/{image.name}", "repository/")

    def sagemaker_image(self, image: ImageConfig, app: App) -> Resource:
        """Return the SageMaker image. Apps that run different stages of one Dockerfile run different images."""
        return self.place.named("sagemaker", f"{self.prefix}-{image.name}{_APP_SUFFIX[app]}", "image/")

    def app_image_config(self, image: ImageConfig, app: App) -> Resource:
        """Return the configuration with which the app runs the image."""
        name = f"{self.sagemaker_image(image, app).name}-config"
        return self.place.named("sagemaker", name, "app-image-config/")

    def studio_role(self, user: UserConfig) -> Resource:
        """Return the role of a researcher."""
        return self.place.role(f"{self.prefix}-studio-{user.profile}")

    def pipeline(self, name: str) -> Resource:
        """Return the SageMaker pipeline of that name in the file."""
        return self.place.named("sagemaker", f"{self.job_prefix}{name}", "pipeline/")

    def pipeline_job(self, name: str) -> str:
        """Return the beginning of the names of a pipeline's jobs, to which SageMaker appends execution and step."""
        return f"{self.pipeline(name).name}{END}job"

    def data_store(self, pipeline: str) -> Store:
        """Return the store of the payloads that started the pipeline, in the data bucket."""
        prefix = f"{SHARED}{pipeline}/messages/"
        return Store(self.data_bucket.name, prefix, self.place.account, self.place.region)


class Names:
    """Names of a deployment with messages. `senders` and `subscribers` have the names in the file as keys."""

    def __init__(self, deployment: Deployment) -> None:
        publisher = deployment.publisher
        place = Place(publisher.account, publisher.region)
        self.publisher = PublisherNames(deployment.name, place, fifo=publisher.fifo, replica_regions=publisher.replicas)
        self.senders = {
            sender.name: SenderNames(sender.name, Place(sender.account, sender.region or place.region), self.publisher)
            for sender in deployment.senders
        }
        self.subscribers = {
            subscriber.name: SubscriberNames(subscriber, self.publisher) for subscriber in deployment.subscribers
        }
        self.research = ResearchNames(deployment.name, deployment.research) if deployment.research else None
