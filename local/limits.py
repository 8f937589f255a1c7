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
        "Roles of services",
        "CloudFormation creates with its execution role; Lambda polls a queue, sends to an on-failure destination and "
        "writes logs with the function's role; Step Functions calls with the state machine's. Each must be allowed.",
        "they act without asking the role. What a function's own code does is asked, with its role's policies.",
    ),
    Limit(
        "iam:PassRole",
        "needed to hand a role to a function, a task or a state machine.",
        "never asked.",
    ),
    Limit(
        "KMS for topics, queues, logs and tables",
        "an encrypted topic, queue, log group or table needs its key: publishers, SNS and Lambda included.",
        "only S3 objects need their key.",
    ),
    Limit(
        "Organisations",
        "`aws:PrincipalOrgID` is the organisation of the caller's account.",
        "no account has one; a statement that demands it allows nobody.",
    ),
    Limit(
        "ARN patterns",
        "ArnLike and ArnEquals match an ARN part by part, wildcards within a part.",
        "an ARN is matched as one text: a wildcard also runs across its colons.",
    ),
    Limit(
        "Secrets of access keys",
        "every request is signed with a secret only its account has.",
        "an account's own number is its root's key, and that signature is not checked. Those of roles are.",
    ),
    # --- encryption and networks ---
    Limit("Encryption at rest", "payloads are stored encrypted under the key.", "they are stored as they are."),
    Limit(
        "Networks",
        "a VPC's subnets, security groups, routes and endpoints decide what reaches what.",
        "they are recorded, and nothing runs in them.",
    ),
    # --- Lambda ---
    Limit(
        "Lambda's machine",
        "Python 3.14 on arm64, with the memory, processor share, /tmp and network of the function's settings.",
        "this machine's Python and processors, with all its memory; `Max Memory Used` is measured, its limit is not "
        "enforced. After an exception the process is replaced, where Lambda would use it again.",
    ),
    Limit(
        "Lambda's payload sizes",
        "6 MB for a synchronous invocation, a batch or an answer, 1 MB for an asynchronous event.",
        "no limit.",
    ),
    Limit(
        "Lambda's asynchronous retries",
        "after one minute, then after two more.",
        "after one second, then after two more; as many, and to the same on-failure destination.",
    ),
    # --- SNS, SQS, EventBridge ---
    Limit(
        "SNS delivery retries",
        "an endpoint that fails is tried 100,015 times over 23 days before its redrive queue gets the message.",
        "the redrive queue gets it at once.",
    ),
    Limit("SNS signatures", "every delivered message is signed by SNS.", "its signature is a placeholder."),
    Limit(
        "SNS raw delivery's attributes",
        "a message with more than 10 attributes is not delivered raw to a queue.",
        "it is delivered with all of them.",
    ),
    Limit("EventBridge entry size", "a PutEvents entry has fewer than 1 MB.", "no limit."),
    # --- S3 ---
    Limit(
        "S3 sizes",
        "5 GB for a single PUT or CopyObject, 5 MiB for a part that is not the last.",
        "no limit but this machine's disk.",
    ),
    Limit(
        "S3 default checksums",
        "every object has one: CRC64NVME of the whole object where none was asked for.",
        "an object has the checksums that were asked for, and a copy those of its source.",
    ),
    Limit(
        "S3 lifecycle",
        "objects, old versions and unfinished uploads expire as the rules say.",
        "the rules are kept and can be read; nothing expires.",
    ),
    # --- Step Functions, ECS, CloudWatch, CloudFormation ---
    Limit("Step Functions input size", "262,144 bytes at most.", "no limit."),
    Limit(
        "ECS tasks",
        "a task's containers run, with the task's role.",
        "there is no container engine: a task is recorded with its overrides and says RUNNING, and nothing runs.",
    ),
    Limit(
        "Alarms",
        "an alarm on a queue's length goes off.",
        "queues send no metrics: an alarm can be described, and stays as it is.",
    ),
    Limit(
        "CloudFormation properties",
        "every property of a template takes effect or fails the deployment.",
        "some are dropped without a word (those the project relies on are filled in or named here).",
    ),
    Limit(
        "Time and quotas",
        "requests take network time, can be throttled, and count against account quotas.",
        "everything is on this machine; only reserved and maximum concurrency throttle.",
    ),
)
