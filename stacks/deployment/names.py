"""Physical names and ARNs that two accounts, or two stacks, must agree on.

Only names cross an account boundary: the publisher's stack allows by them, a subscriber's stack uses them. `Names` is
made once from the deployment file. Stacks, commands and tests take its parts.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from claim_check import Replica, Store
from stacks.deployment.model import BaseDeployment, Deployment
from stacks.deployment.regions import dns_suffix, is_opt_in, partition
from stacks.deployment.research import App, ImageConfig, PipelineConfig, ResearchConfig, UserConfig
from stacks.deployment.sender import SenderConfig
from stacks.deployment.subscriber import (
    FunctionSubscriberConfig,
    LambdaSubscriberConfig,
    SqsSubscriberConfig,
    SubscriberConfig,
)

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
_APP_SUFFIX: dict[App, str] = {"JupyterLab": "", "CodeEditor": "-code-editor", "KernelGateway": "-kernel"}


@dataclass(frozen=True)
class Resource:
    """A resource's name and ARN. The name is unique in its account and Region."""

    name: str
    arn: str


@dataclass(frozen=True)
class Place:
    """An account and a Region."""

    account: str
    region: str

    @property
    def partition(self) -> str:
        """`aws`, `aws-cn` or `aws-us-gov`."""
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

    def bucket(self, name: str) -> Resource:
        """Return a bucket. Its ARN has neither Region nor account."""
        return Resource(name, f"arn:{self.partition}:s3:::{name}")


class PayloadBucketNames:
    """The payload bucket, or its replica in another Region, and the KMS key that encrypts it."""

    def __init__(self, prefix: str, place: Place) -> None:
        self.place = place
        self.bucket = place.bucket(f"{prefix}-payloads-{place.account}-{place.region}")
        self.payloads_arn = f"{self.bucket.arn}/{PAYLOADS}*"
        self.key_arn_pattern = place.named("kms", "*", "key/").arn
        """Pattern for the bucket's key. Other stacks do not know the key's ARN, so a role's policy allows all keys of
        the account and Region, under conditions. The key's policy decides."""
        self.via_service = f"s3.{place.region}.{dns_suffix(place.region)}"
        """The value of `kms:ViaService` when S3 in this Region uses a key for its caller."""


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
        self.dead_letter_queue = place.named("sqs", f"{prefix}-publish-dead-letters")
        self.role = place.role(f"{prefix}-publisher")
        """The role that applications of the publisher's account assume to publish with the library."""
        self.payload_bucket = PayloadBucketNames(prefix, place)
        self.replicas = {region: ReplicaNames(prefix, Place(place.account, region)) for region in replica_regions}

    @property
    def store(self) -> Store:
        """The store that pointers point to."""
        return Store(self.payload_bucket.bucket.name, PAYLOADS, self.place.account, self.place.region)

    def sns_principal(self, endpoint_region: str) -> str:
        """Return the service principal of SNS's deliveries to an endpoint in a Region.

        Across Regions it is Regional if either Region is opt-in. With the global principal in its policy, a queue would
        silently receive nothing. (SNS developer guide, "different Region".)
        """
        if endpoint_region != self.place.region:
            for region in (endpoint_region, self.place.region):
                if is_opt_in(region):
                    return f"sns.{region}.amazonaws.com"
        return "sns.amazonaws.com"


class SenderNames:
    """Names in a sender's account."""

    def __init__(self, prefix: str, name: str, place: Place) -> None:
        self.name = name
        self.place = place
        self.stack = f"{prefix}-{name}-sender"
        self.role = place.role(f"{prefix}-{name}-sender")
        """The role that applications of the sender's account assume to put events and to upload."""
        self.outbox = f"{OUTBOX}{name}/"
        """Prefix, in the payload bucket, of the sender's uploads. No other sender may write there."""


class SubscriberNames:
    """Names in a subscriber's account. Some are used by one kind of subscriber only."""

    def __init__(self, subscriber: SubscriberConfig, publisher: PublisherNames) -> None:
        prefix, name = f"{publisher.prefix}-{subscriber.name}", subscriber.name
        place = Place(subscriber.account, subscriber.region)
        topic_place = Place(subscriber.account, publisher.place.region)
        self.name = name
        self.kind = subscriber.kind
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
        """The consume function's role. For `https`, the role that the endpoint assumes."""
        self.task_role = place.role(f"{prefix}-task")
        self.copy_role = place.role(f"{prefix}-copy")
        self.pipeline_trigger_role = place.role(f"{prefix}-pipeline-trigger")
        self.reader_roles: tuple[Resource, ...] = (
            self.reader_role,
            *([self.task_role] if subscriber.kind == "lambda" else []),
            *([self.copy_role] if subscriber.kind == "sqs" and subscriber.landing else []),
            *([self.pipeline_trigger_role] if subscriber.kind == "sqs" and subscriber.pipeline else []),
        )
        """The roles that may read payloads."""
        endpoints = {"sqs": self.queue.arn, "lambda": self.consume_function.arn}
        self.endpoint = subscriber.endpoint if subscriber.kind == "https" else endpoints[subscriber.kind]
        """The endpoint of the subscription."""
        self.replicas = tuple(names for region, names in publisher.replicas.items() if region == place.region)
        """The replica in the subscriber's Region, if there is one. It is read before the payload bucket."""
        self._publisher = publisher

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
        return (replace(self._publisher.store, replicas=replicas),)

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
        self.domain = f"{prefix}-research"
        self.data_bucket = place.bucket(f"{prefix}-research-{place.account}-{place.region}")
        self.processing_role = place.role(f"{prefix}-processing")
        self.via_service = f"s3.{place.region}.{dns_suffix(place.region)}"
        """The value of `kms:ViaService` when S3 in this Region uses a key for its caller."""
        self.default_studio_role = place.role(f"{prefix}-studio")
        """The role of researchers that are not in the deployment file."""
        self.image_build_function = place.named("lambda", f"{prefix}-research-image-build", "function:")
        self.clean_up_function = place.named("lambda", f"{prefix}-domain-clean-up", "function:")
        self.workstation = f"{prefix}-workstation"
        self.job_prefix = f"{prefix}-"
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
        """Return the SageMaker pipeline of that name in the file. The names of its jobs begin with the pipeline's."""
        return self.place.named("sagemaker", f"{self.job_prefix}{name}", "pipeline/")

    def data_store(self, pipeline: str) -> Store:
        """Return the store of the payloads that started the pipeline, in the data bucket."""
        prefix = f"{SHARED}{pipeline}/messages/"
        return Store(self.data_bucket.name, prefix, self.place.account, self.place.region)


class Names:
    """Names of a deployment with messages. Senders and subscribers have the keys of their names in the file."""

    def __init__(self, deployment: Deployment) -> None:
        publisher = deployment.publisher
        place = Place(publisher.account, publisher.region)
        self.publisher = PublisherNames(deployment.name, place, fifo=publisher.fifo, replica_regions=publisher.replicas)
        self.senders = {
            sender.name: SenderNames(deployment.name, sender.name, Place(sender.account, sender.region or place.region))
            for sender in deployment.senders
        }
        self.subscribers = {
            subscriber.name: SubscriberNames(subscriber, self.publisher) for subscriber in deployment.subscribers
        }
        self.research = ResearchNames(deployment.name, deployment.research) if deployment.research else None


# Functions that the objects replace


def _arn(service: str, region: str, account: str, resource: str) -> str:
    # IAM and S3 ARNs leave the Region out, so the partition is the caller's to give when there is none.
    return f"arn:{partition(region)}:{service}:{region}:{account}:{resource}"


def publisher_stack(deployment: Deployment) -> str:
    return f"{deployment.name}-publisher"


def payload_bucket(deployment: Deployment, region: str | None = None) -> str:
    """The publisher's, or its replica in another Region."""
    return f"{deployment.name}-payloads-{deployment.publisher.account}-{region or deployment.publisher.region}"


def payload_bucket_arn(deployment: Deployment, region: str | None = None) -> str:
    return f"arn:{partition(deployment.publisher.region)}:s3:::{payload_bucket(deployment, region)}"


def replica_stack(deployment: Deployment, region: str) -> str:
    return f"{deployment.name}-replica-{region}"


def replica_key_alias(deployment: Deployment) -> str:
    """Of the key of a replica, in its Region: the publisher's stack cannot know the key's own ARN."""
    return f"alias/{deployment.name}-replica"


def replica_key_alias_arn(deployment: Deployment, region: str) -> str:
    return _arn("kms", region, deployment.publisher.account, replica_key_alias(deployment))


def topic(deployment: Deployment) -> str:
    return f"{deployment.name}-messages{_fifo_suffix(deployment)}"


def topic_arn(deployment: Deployment) -> str:
    return _arn("sns", deployment.publisher.region, deployment.publisher.account, topic(deployment))


def event_bus(deployment: Deployment) -> str:
    return deployment.name


def event_bus_arn(deployment: Deployment) -> str:
    publisher = deployment.publisher
    return _arn("events", publisher.region, publisher.account, f"event-bus/{event_bus(deployment)}")


def archive(deployment: Deployment) -> str:
    """Of the events that are not published, for they have another detail-type."""
    return f"{deployment.name}-unmatched"


def archive_arn(deployment: Deployment) -> str:
    return _arn("events", deployment.publisher.region, deployment.publisher.account, f"archive/{archive(deployment)}")


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


def any_key_arn(deployment: Deployment, region: str | None = None) -> str:
    """Any KMS key of the publisher's account in its Region, or a replica's: a key's ARN cannot be known in another
    account or stack, so a role's own policy names this and narrows it by conditions; the key's policy decides."""
    return _arn("kms", region or deployment.publisher.region, deployment.publisher.account, "key/*")


def s3_endpoint(region: str) -> str:
    """What `kms:ViaService` says when S3 in that Region uses a key for its caller."""
    return f"s3.{region}.{dns_suffix(region)}"


def sender_role(deployment: Deployment, sender: SenderConfig) -> str:
    """The role that an application in the sender's account assumes to put events and to upload."""
    return f"{deployment.name}-{sender.name}-sender"


def sender_role_arn(deployment: Deployment, sender: SenderConfig) -> str:
    region = sender.region or deployment.publisher.region
    return f"arn:{partition(region)}:iam::{sender.account}:role/{sender_role(deployment, sender)}"


def sender_outbox(sender: SenderConfig) -> str:
    """Prefix, in the payload bucket, of what the sender uploads. No other sender may."""
    return f"{OUTBOX}{sender.name}/"


def subscriber_stack(deployment: Deployment, subscriber: SubscriberConfig) -> str:
    return f"{deployment.name}-{subscriber.name}"


def undelivered_stack(deployment: Deployment, subscriber: SubscriberConfig) -> str:
    """The stack of a subscriber in another Region than the topic's: holds its redrive queue alone."""
    return f"{deployment.name}-{subscriber.name}-undelivered"


def queue(deployment: Deployment, subscriber: SqsSubscriberConfig) -> str:
    return f"{deployment.name}-{subscriber.name}{_fifo_suffix(deployment)}"


def queue_arn(deployment: Deployment, subscriber: SqsSubscriberConfig) -> str:
    return _arn("sqs", subscriber.region, subscriber.account, queue(deployment, subscriber))


def dead_letter_queue(deployment: Deployment, subscriber: FunctionSubscriberConfig) -> str:
    """Where what the subscriber could not process ends. FIFO where the subscriber's own queue is (SQS asks for it)."""
    return f"{deployment.name}-{subscriber.name}-dead-letters{_fifo_suffix(deployment)}"


def undelivered_queue(deployment: Deployment, subscriber: SubscriberConfig) -> str:
    """Where what SNS could not deliver to the subscriber ends."""
    return f"{deployment.name}-{subscriber.name}-undelivered{_fifo_suffix(deployment)}"


def undelivered_queue_arn(deployment: Deployment, subscriber: SubscriberConfig) -> str:
    """In the subscriber's account and the *topic's* Region: SNS asks for both."""
    return _arn("sqs", deployment.publisher.region, subscriber.account, undelivered_queue(deployment, subscriber))


def consume_function(deployment: Deployment, subscriber: FunctionSubscriberConfig) -> str:
    return f"{deployment.name}-{subscriber.name}-consume"


def consume_function_arn(deployment: Deployment, subscriber: FunctionSubscriberConfig) -> str:
    name = consume_function(deployment, subscriber)
    return _arn("lambda", subscriber.region, subscriber.account, f"function:{name}")


def endpoint(deployment: Deployment, subscriber: SubscriberConfig) -> str:
    """What the subscriber subscribes to the topic: its queue's or function's ARN, or its web server's address."""
    match subscriber.kind:
        case "sqs":
            return queue_arn(deployment, subscriber)
        case "lambda":
            return consume_function_arn(deployment, subscriber)
        case "https":
            return subscriber.endpoint


def reader_role(deployment: Deployment, subscriber: SubscriberConfig) -> str:
    """The role of the subscriber's consume function; of kind `https`, the one that its endpoint's process takes on."""
    return f"{deployment.name}-{subscriber.name}-reader"


def task_role(deployment: Deployment, subscriber: LambdaSubscriberConfig) -> str:
    """The role of the subscriber's ECS task, which reads the payload too."""
    return f"{deployment.name}-{subscriber.name}-task"


def copy_role(deployment: Deployment, subscriber: SqsSubscriberConfig) -> str:
    """The role of the function that lands payloads: S3 asks it, too, before it copies one."""
    return f"{deployment.name}-{subscriber.name}-copy"


def pipeline_trigger_role(deployment: Deployment, subscriber: SqsSubscriberConfig) -> str:
    """The role of the function that makes payloads data sets of a research pipeline: S3 asks it, too."""
    return f"{deployment.name}-{subscriber.name}-pipeline-trigger"


def reader_role_arns(deployment: Deployment, subscriber: SubscriberConfig) -> list[str]:
    """The roles, all in the subscriber's account, that may read payloads for it."""
    roles = [reader_role(deployment, subscriber)]
    if subscriber.kind == "lambda":
        roles.append(task_role(deployment, subscriber))
    if subscriber.kind == "sqs" and subscriber.landing:
        roles.append(copy_role(deployment, subscriber))
    if subscriber.kind == "sqs" and subscriber.pipeline:
        roles.append(pipeline_trigger_role(deployment, subscriber))
    return [f"arn:{partition(subscriber.region)}:iam::{subscriber.account}:role/{role}" for role in roles]


def staging_bucket(deployment: Deployment, subscriber: FunctionSubscriberConfig) -> str:
    return f"{deployment.name}-{subscriber.name}-staging-{subscriber.account}-{subscriber.region}"


def landing_bucket(deployment: Deployment, subscriber: SqsSubscriberConfig) -> str:
    return f"{deployment.name}-{subscriber.name}-landing-{subscriber.account}-{subscriber.region}"


def copy_function(deployment: Deployment, subscriber: SqsSubscriberConfig) -> str:
    return f"{deployment.name}-{subscriber.name}-copy"


def pipeline_trigger_function(deployment: Deployment, subscriber: SqsSubscriberConfig) -> str:
    return f"{deployment.name}-{subscriber.name}-pipeline-trigger"


def pipeline_trigger_dead_letter_queue(deployment: Deployment, subscriber: SqsSubscriberConfig) -> str:
    """What the intake function gave up, or was not given: events, and no messages."""
    return f"{deployment.name}-{subscriber.name}-pipeline-trigger-dead-letters"


def application_bus(deployment: Deployment, subscriber: SqsSubscriberConfig) -> str:
    """The subscriber's own event bus: what became of each payload is told there."""
    return f"{deployment.name}-{subscriber.name}"


def application_bus_arn(deployment: Deployment, subscriber: SqsSubscriberConfig) -> str:
    bus = application_bus(deployment, subscriber)
    return _arn("events", subscriber.region, subscriber.account, f"event-bus/{bus}")


def state_machine(deployment: Deployment, subscriber: SqsSubscriberConfig) -> str:
    return f"{deployment.name}-{subscriber.name}"


def cluster(deployment: Deployment, subscriber: LambdaSubscriberConfig) -> str:
    return f"{deployment.name}-{subscriber.name}"


def task_repository(deployment: Deployment, subscriber: LambdaSubscriberConfig) -> str:
    """Of the image that the subscriber's task runs, where it is built in the account."""
    return f"{deployment.name}-{subscriber.name}"


def task_build_function(deployment: Deployment, subscriber: LambdaSubscriberConfig) -> str:
    return f"{deployment.name}-{subscriber.name}-image-build"


def research_stack(deployment: BaseDeployment) -> str:
    return f"{deployment.name}-research"


def research_domain(deployment: BaseDeployment) -> str:
    return f"{deployment.name}-research"


def data_bucket(deployment: BaseDeployment, research: ResearchConfig) -> str:
    return f"{deployment.name}-research-{research.account}-{research.region}"


def image_repository(deployment: BaseDeployment, image: ImageConfig) -> str:
    return f"{deployment.name}-research/{image.name}"


def sagemaker_image(deployment: BaseDeployment, image: ImageConfig, app: App) -> str:
    """Unique in the account. Apps that run different stages of one Dockerfile run different images."""
    return f"{deployment.name}-{image.name}{_APP_SUFFIX[app]}"


def app_image_config(deployment: BaseDeployment, image: ImageConfig, app: App) -> str:
    """How the app runs the image; the post calls its own `pegasus-1-config`."""
    return f"{sagemaker_image(deployment, image, app)}-config"


def studio_role(deployment: BaseDeployment, user: UserConfig | None = None) -> str:
    """The role of a researcher; without one, of everybody who has no profile of their own in the deployment file."""
    return f"{deployment.name}-studio-{user.profile}" if user else f"{deployment.name}-studio"


def processing_role(deployment: BaseDeployment) -> str:
    return f"{deployment.name}-processing"


def job_prefix(deployment: BaseDeployment) -> str:
    """What the name of every job begins with; researchers may start and stop no other."""
    return f"{deployment.name}-"


def pipeline(deployment: BaseDeployment, pipeline: PipelineConfig) -> str:
    """The SageMaker pipeline; the names of its jobs begin with it."""
    return f"{job_prefix(deployment)}{pipeline.name}"


def data_sets(pipeline: PipelineConfig) -> str:
    """Prefix, in the data bucket, of what came to the pipeline as messages."""
    return f"{SHARED}{pipeline.name}/messages/"


def pipeline_arn(deployment: BaseDeployment, research: ResearchConfig, which: PipelineConfig) -> str:
    return _arn("sagemaker", research.region, research.account, f"pipeline/{pipeline(deployment, which)}")


def image_build_function(deployment: BaseDeployment) -> str:
    return f"{deployment.name}-research-image-build"


def clean_up_function(deployment: BaseDeployment) -> str:
    return f"{deployment.name}-domain-clean-up"


def workstation(deployment: BaseDeployment) -> str:
    return f"{deployment.name}-workstation"


def operations_topic(stack: str) -> str:
    """Where a stack's alarms tell people."""
    return f"{stack}-operations"


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
