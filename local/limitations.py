"""What the local world does not enforce: what AWS would refuse, slow down or carry out, and this machine does not.

Whoever shows something locally shows this list with it. Policies are proved from the synthesized templates, apart from
this.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limit:
    """One difference. name: what it is about. aws: what AWS does. here: what happens, or does not, on this machine."""

    name: str
    aws: str
    here: str


NOT_ENFORCED: tuple[Limit, ...] = (
    # --- permissions ---
    Limit(
        "Roles that services act with",
        "CloudFormation creates with its execution role; Lambda polls a queue, sends to an on-failure destination and "
        "writes logs with the function's role; Step Functions calls with the state machine's. Each must be allowed.",
        "these act without asking their role. What a function's own code does is asked, with its role's policies.",
    ),
    Limit(
        "iam:PassRole",
        "whoever hands a role to a function, a task or a state machine needs it.",
        "it is never asked.",
    ),
    Limit(
        "Keys of topics, queues, logs and tables",
        "publishers, SNS and Lambda need the KMS key of an encrypted topic, queue, log group or table.",
        "only reading and writing S3 objects needs the key.",
    ),
    Limit(
        "--import-existing-resources",
        "a stack takes up queues, buckets and tables that an earlier one of its name has left.",
        "the emulator refuses them as names that are taken: delete them first.",
    ),
    Limit(
        "Organisations",
        "`aws:PrincipalOrgID` is the organisation of the caller's account.",
        "no account has an organisation; a statement that demands one allows nobody.",
    ),
    Limit(
        "ARN patterns",
        "ArnLike and ArnEquals match an ARN part by part, a wildcard within its part.",
        "an ARN is matched as one text, so a wildcard also runs across its colons.",
    ),
    Limit(
        "Root's signature",
        "every request is signed with a secret that only its sender has.",
        "an account's own number signs in as its root, unchecked; requests of roles are checked.",
    ),
    # --- encryption and networks ---
    Limit(
        "Encryption at rest",
        "payloads are stored encrypted under the key.",
        "payloads are stored in the clear, in a private folder that is removed at the end.",
    ),
    Limit(
        "Networks",
        "subnets, security groups, routes and endpoints decide what reaches what.",
        "a VPC is recorded, and nothing runs in it.",
    ),
    # --- Lambda ---
    Limit(
        "Lambda's machine",
        "Python 3.14 on arm64, with the memory, processor share and /tmp of the function's settings; after an "
        "exception the same process takes the next event.",
        "functions run on this machine's Python, processors and memory; `Max Memory Used` is measured, no maximum is "
        "enforced; after an exception the next event finds a new process.",
    ),
    Limit(
        "Lambda's payload sizes",
        "6 MB for a synchronous invocation, a batch or an answer; 1 MB for an asynchronous event.",
        "no size is refused.",
    ),
    Limit(
        "Lambda's asynchronous retries",
        "the first after one minute, the second after two more.",
        "the first after one second, the second after two more; then the on-failure destination, as there.",
    ),
    Limit(
        "Partial batch responses",
        "a response that names no message, or not properly, returns the whole batch to the queue.",
        "what is not named properly counts as handled.",
    ),
    # --- SNS, EventBridge ---
    Limit(
        "Pauses of a state machine's retries",
        "a state that is tried again waits up to its `MaxDelaySeconds`, at random with `JitterStrategy`.",
        "it waits a minute at most, and never at random.",
    ),
    Limit(
        "Delivery retries of SNS and EventBridge",
        "SNS tries a failing queue or function 100,015 times over 23 days, EventBridge a failing target for 24 hours, "
        "before the redrive or dead-letter queue gets the message.",
        "the redrive or dead-letter queue gets it at once.",
    ),
    Limit(
        "Signatures of SNS",
        "every message that is not delivered raw is signed.",
        "what is posted over HTTPS is, by a key of this machine's; elsewhere the signature is a placeholder.",
    ),
    Limit(
        "HTTPS endpoints",
        "SNS posts to any host that the internet knows, and tries for up to an hour.",
        "it posts to processes of this machine alone, whose certificate is for localhost; a subscription by "
        "CloudFormation counts as confirmed whether the server answers or not; it tries as often as the "
        "delivery policy says, but a third of a second apart.",
    ),
    Limit(
        "Attributes of raw messages",
        "a message with more than 10 attributes is not delivered raw to a queue.",
        "it is delivered, with all of them.",
    ),
    Limit(
        "Archives of EventBridge",
        "an event reaches an archive within minutes and leaves it after its retention; a replay goes from minute to "
        "minute, in no order within one, and can be held to some of the rules.",
        "an event is archived at once and kept for ever; a replay goes in the events' order, to every rule.",
    ),
    Limit(
        "Filter policies of SNS",
        "a policy over SNS's limits, or with a condition that SNS does not know, is refused; a changed one takes up to "
        "15 minutes.",
        "no policy is refused, and a changed one holds at once. The deployment file refuses them by itself.",
    ),
    Limit(
        "Size of EventBridge entries",
        "an entry of PutEvents has fewer than 1 MB.",
        "no size is refused.",
    ),
    # --- S3 ---
    Limit(
        "Sizes in S3",
        "5 GB for a single PUT or CopyObject; at least 5 MiB for every part but the last.",
        "no size is refused.",
    ),
    Limit(
        "Default checksums of S3",
        "every object has one: CRC64NVME of the whole object where no other was asked for.",
        "an object has the checksums that were asked for, and a copy those of its source.",
    ),
    Limit(
        "Replication of S3 objects",
        "S3 replicates within seconds or minutes, under a role whose trust is asked.",
        "replicas are there at once; the role's own policies are asked, its trust is not.",
    ),
    Limit(
        "Lifecycle of S3 objects",
        "objects, old versions and unfinished uploads expire as the rules say.",
        "the rules are kept and can be read; nothing expires.",
    ),
    # --- Step Functions, ECS, CloudWatch, CloudFormation ---
    Limit(
        "Input of Step Functions",
        "262,144 bytes at most.",
        "no size is refused.",
    ),
    Limit(
        "ECS tasks",
        "a task's containers run, with the task's role.",
        "there is no container engine: a task is recorded with its overrides and says RUNNING, and nothing runs.",
    ),
    Limit(
        "Image builds",
        "CodeBuild runs the build with Docker, as the project's role, and pushes an image to ECR.",
        "the build context has to be there with its Dockerfile; nothing is built, and an image without layers is "
        "recorded under the tag.",
    ),
    Limit(
        "Alarms",
        "an alarm on a queue's length goes off.",
        "queues send no metrics: an alarm can be described, and keeps its first state.",
    ),
    Limit(
        "Traces",
        "functions and state machines send segments to X-Ray.",
        "there is no X-Ray: segments are dropped.",
    ),
    Limit(
        "Properties in templates",
        "every property takes effect, or fails the deployment.",
        "some are dropped without a word, such as a state machine's logging.",
    ),
    Limit(
        "Time and quotas",
        "requests take network time, permissions take seconds to spread, and accounts have quotas.",
        "everything happens at once; only a function's own concurrency settings throttle.",
    ),
)
