"""Limitations of the local world: AWS's checks, delays and side effects that do not exist on this machine.

The demo's report contains this list. `tests/policies` proves policies from the synthesized templates.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limitation:
    """A difference between AWS and the local world."""

    name: str
    aws: str
    """The behaviour of AWS."""
    local: str
    """The behaviour of the local world."""


NOT_ENFORCED: tuple[Limitation, ...] = (
    # --- permissions ---
    Limitation(
        "Roles of services",
        "services need the permissions of their role: CloudFormation its execution role; Lambda the function's role "
        "(to poll, to write logs, for destinations); Step Functions the state machine's role.",
        "permissions of these services' roles are not checked. Requests of a function's code are checked.",
    ),
    Limitation(
        "iam:PassRole",
        "a caller that sets the role of a function, a task or a state machine needs it.",
        "it is never checked.",
    ),
    Limitation(
        "Keys of topics, queues, logs and tables",
        "publishers, SNS and Lambda need the KMS key of an encrypted topic, queue, log group or table.",
        "only reading and writing S3 objects needs the key.",
    ),
    Limitation(
        "--import-existing-resources",
        "a stack can import buckets, tables, image repositories and event buses that a deleted stack has retained.",
        "the deployment fails because the names exist. Delete the resources first.",
    ),
    Limitation(
        "Organisations",
        "`aws:PrincipalOrgID` is the organisation of the caller's account.",
        "accounts have no organisation. A statement with this condition allows no caller.",
    ),
    Limitation(
        "ARN patterns",
        "ArnLike and ArnEquals compare an ARN part by part. A wildcard matches within its part.",
        "an ARN is compared as one text, so that a wildcard also matches colons.",
    ),
    Limitation(
        "Requests without a signature",
        "anyone can read a public object, and end a subscription with the link in its messages.",
        "every request is signed, except the confirmation of a subscription. An account's number is the access key of "
        "its root, and the secret of every root is that of the run.",
    ),
    Limitation(
        "Services",
        "all exist.",
        "only those that deployments, functions and the CDK CLI use.",
    ),
    # --- encryption and networks ---
    Limitation(
        "Encryption at rest",
        "payloads are encrypted with the key.",
        "payloads are not encrypted. They are in a private folder, which is removed at the end.",
    ),
    Limitation(
        "Networks",
        "subnets, security groups, routes and endpoints limit the network traffic.",
        "a VPC is recorded. Nothing runs in it.",
    ),
    # --- Lambda ---
    Limitation(
        "Lambda's environment",
        "Python 3.14 on arm64, with the memory, CPU share and /tmp of the function's settings. After an exception, the "
        "same process handles the next event.",
        "functions use this machine's Python, CPUs and memory. `Max Memory Used` is measured, memory is not limited. "
        "After an exception, a new process handles the next event.",
    ),
    Limitation(
        "Lambda's payload sizes",
        "6 MB for a synchronous invocation, a batch or a response; 1 MB for an asynchronous event.",
        "sizes are not limited.",
    ),
    Limitation(
        "Lambda's asynchronous retries",
        "the first after one minute, the second after two more minutes.",
        "the first after one second, the second after two more seconds; then the on-failure destination, as in AWS.",
    ),
    Limitation(
        "Partial batch responses",
        "an invalid response returns the whole batch to the queue.",
        "messages that the response does not name correctly count as processed.",
    ),
    # --- SNS, EventBridge ---
    Limitation(
        "Delays between a state machine's retries",
        "up to `MaxDelaySeconds`, random with `JitterStrategy`.",
        "up to a minute, never random.",
    ),
    Limitation(
        "Delivery retries of SNS and EventBridge",
        "SNS retries a queue or function 100,015 times in 23 days, EventBridge a target for 24 hours. Then the "
        "undelivered or dead-letter queue receives the message.",
        "the undelivered or dead-letter queue receives the message at once.",
    ),
    Limitation(
        "Signatures of SNS",
        "every message is signed, except with raw delivery.",
        "messages over HTTPS are signed with a key of this machine. Other messages have a placeholder.",
    ),
    Limitation(
        "HTTPS endpoints",
        "SNS posts to any host on the internet, with retries for up to an hour.",
        "SNS posts to processes of this machine only, whose certificate is for localhost. CloudFormation does not wait "
        "for the confirmation. The number of retries is that of the delivery policy, with 0.3 seconds between them.",
    ),
    Limitation(
        "Attributes of raw messages",
        "a message with more than 10 attributes is not delivered raw to a queue.",
        "it is delivered, with all attributes.",
    ),
    Limitation(
        "Archives of EventBridge",
        "an event is in the archive within minutes, until its retention ends. A replay sends minute by minute, in any "
        "order within a minute, and can be limited to some rules.",
        "an event is in the archive at once, and is never deleted. A replay has the events' order and uses all rules.",
    ),
    Limitation(
        "Filter policies of SNS",
        "a filter policy that exceeds SNS's limits or has an unknown operator is rejected. A change takes up to 15 "
        "minutes.",
        "no filter policy is rejected, and a change takes effect at once. The deployment file's checks reject them.",
    ),
    Limitation(
        "Size of EventBridge entries",
        "an entry of PutEvents has less than 1 MB.",
        "sizes are not limited.",
    ),
    # --- S3 ---
    Limitation(
        "Sizes in S3",
        "5 GB for a single PUT or CopyObject; at least 5 MiB for every part except the last.",
        "sizes are not limited.",
    ),
    Limitation(
        "Default checksums of S3",
        "every object has one: by default CRC64NVME of the whole object.",
        "an object has only requested checksums, and a copy has those of its source.",
    ),
    Limitation(
        "Replication of S3 objects",
        "S3 replicates within seconds or minutes, with a role whose trust policy is checked.",
        "S3 replicates at once. The role's permissions are checked, its trust policy is not.",
    ),
    Limitation(
        "Lifecycle of S3 objects",
        "objects, old versions and incomplete uploads expire as the rules declare.",
        "the rules are stored and can be read. Nothing expires.",
    ),
    # --- Step Functions, ECS, CloudWatch, CloudFormation ---
    Limitation(
        "Input of Step Functions",
        "up to 262,144 bytes.",
        "sizes are not limited.",
    ),
    Limitation(
        "ECS tasks",
        "a task's container runs, with the task's role, as the image's user.",
        "a process stands in for the container: the Dockerfile's command in its build context, with this machine's "
        "Python. With `demo --images` a container of the image runs, on a Debian in place of its base. A task with an "
        "image of another registry is recorded, and does not run.",
    ),
    Limitation(
        "Image builds",
        "CodeBuild runs the build with Docker, with the project's role, and pushes an image to ECR. An account has a "
        "quota of concurrent builds.",
        "the build context must have its Dockerfile. Nothing is built; an image without layers is recorded at once. "
        "The quota is one build, as in a new account.",
    ),
    Limitation(
        "Alarms",
        "an alarm on a queue's length or on an expression changes its state.",
        "queues send no metrics, and expressions are not evaluated. Such an alarm stays in its first state.",
    ),
    Limitation(
        "Traces",
        "functions and state machines send segments to X-Ray.",
        "segments are dropped.",
    ),
    Limitation(
        "Properties in templates",
        "every property takes effect, or fails the deployment.",
        "some are ignored, such as a state machine's logging.",
    ),
    Limitation(
        "Time and quotas",
        "requests take network time, permissions take seconds to propagate, and accounts have quotas.",
        "everything happens at once. Only a function's concurrency settings throttle.",
    ),
)
