"""Cross-account policies: for each grant the resource's statement, with a Sid, and then the role's own policy.

A statement on the resource's side names the other *account* as principal and narrows it to one role by
`aws:PrincipalArn`. AWS rejects a policy that names a role which does not exist yet, and the publisher is deployed
before its subscribers.
"""

from collections.abc import Iterable, Mapping

from aws_cdk import Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_sqs as sqs

from stacks.common.findings import ANY_KEY, BELOW_A_PREFIX
from stacks.common.grants import allow, deny
from stacks.common.stack_key import USE
from stacks.deployment.names import (
    OUTBOX,
    PayloadBucketNames,
    Place,
    PublisherNames,
    Resource,
    SenderNames,
    SubscriberNames,
)

Conditions = dict[str, dict[str, object]]

# Read payloads -------------------------------------------------------------------------------------------------------


def read_payloads(
    bucket: PayloadBucketNames, subscriber: SubscriberNames, *, organization: str | None
) -> iam.PolicyStatement:
    """Return the bucket statement that allows the subscriber's reader roles to get objects below `payloads/`."""
    return iam.PolicyStatement(
        sid=_sid("ReadPayloads", subscriber.name),
        principals=[_account(subscriber.place)],
        actions=["s3:GetObject"],
        resources=[bucket.payloads_arn],
        conditions=with_organization(organization, ArnEquals=_reader_roles(subscriber)),
    )


def decrypt_payloads(
    bucket: PayloadBucketNames, subscriber: SubscriberNames, *, organization: str | None
) -> iam.PolicyStatement:
    """Return the key statement that allows the same roles to decrypt, only through S3 and only for this bucket."""
    return iam.PolicyStatement(
        sid=_sid("DecryptPayloads", subscriber.name),
        principals=[_account(subscriber.place)],
        actions=["kms:Decrypt"],
        resources=["*"],
        conditions=with_organization(
            organization, ArnEquals=_reader_roles(subscriber), StringEquals=via_s3(bucket, subscriber)
        ),
    )


def grant_read_payloads(role: iam.IRole, subscriber: SubscriberNames) -> None:
    """Allow a reader role, in its own policy, to read payloads from the publisher's bucket and from a near replica."""
    sources: tuple[tuple[str, PayloadBucketNames], ...] = (
        ("Payloads", subscriber.publisher.payload_bucket),
        *(("Replica", replica) for replica in subscriber.replicas),
    )
    for name, bucket in sources:
        allow(
            role, sid=f"Read{name}", actions=["s3:GetObject"], resources=[bucket.payloads_arn], wildcards=BELOW_A_PREFIX
        )
        allow(
            role,
            sid=f"Decrypt{name}",
            actions=["kms:Decrypt"],
            resources=[bucket.key_arn_pattern],
            conditions={"StringEquals": via_s3(bucket, subscriber)},
            wildcards=ANY_KEY,
        )


# Upload --------------------------------------------------------------------------------------------------------------

UPLOAD = ("s3:PutObject", "s3:PutObjectAcl", "s3:AbortMultipartUpload")
"""A sender's actions in its folder of the outbox. `PutObject` includes the parts of an upload."""
OWNERS_ACL = {"s3:x-amz-acl": "bucket-owner-full-control"}
"""The one ACL that a bucket without ACLs accepts. Many tools send it, and S3 then requires `PutObjectAcl`. (S3 user
guide, "Controlling ownership of objects".)"""
ENCRYPT = ("kms:GenerateDataKey", "kms:Decrypt")
"""S3's use of the key on behalf of the caller of an upload. `Decrypt` is for uploads in parts. (S3 user guide,
"Multipart upload API and permissions".)"""


def upload(bucket: PayloadBucketNames, sender: SenderNames, *, organization: str | None) -> iam.PolicyStatement:
    """Return the bucket statement that allows the sender's role to upload to the sender's folder of the outbox."""
    return iam.PolicyStatement(
        sid=_sid("Upload", sender.name),
        principals=[_account(sender.place)],
        actions=list(UPLOAD),
        resources=[_outbox_arn(bucket, sender)],
        conditions=with_organization(
            organization, ArnEquals={"aws:PrincipalArn": sender.role.arn}, StringEqualsIfExists=OWNERS_ACL
        ),
    )


def deny_other_writers(bucket: PayloadBucketNames, senders: Iterable[SenderNames]) -> iam.PolicyStatement:
    """Return the bucket statement that denies uploads to these senders' folders to all roles but the senders' own.

    It is for senders in the publisher's account, whose roles need no permission of the bucket's policy.
    """
    folders = {_outbox_arn(bucket, sender): sender.role.arn for sender in senders}
    return deny(
        "DenyOtherWriters", ["s3:PutObject"], [*folders], ArnNotEquals={"aws:PrincipalArn": [*folders.values()]}
    )


def deny_unreadable_uploads(bucket: PayloadBucketNames, key_arn: str) -> list[iam.PolicyStatement]:
    """Return the bucket statements that deny uploads which S3 could not copy: with another key, or archived.

    Without them, S3 would accept the upload, and its sender would not hear of the problem from the tool.
    """
    put, uploads, encryption = ["s3:PutObject"], [f"{bucket.bucket.arn}/{OUTBOX}*"], "s3:x-amz-server-side-encryption"
    archived = {"s3:x-amz-storage-class": ["GLACIER", "DEEP_ARCHIVE"]}
    return [
        deny("DenyArchivedUploads", put, uploads, StringEquals=archived),
        deny(
            "DenyUploadsWithOtherKey",
            put,
            uploads,
            StringEquals={encryption: ["aws:kms", "aws:kms:dsse"]},
            # Also true without a key's id: S3 then takes the key `aws/s3` of the caller's account.
            StringNotEquals={f"{encryption}-aws-kms-key-id": key_arn},
        ),
    ]


def encrypt_uploads(
    bucket: PayloadBucketNames, sender: SenderNames, *, organization: str | None
) -> iam.PolicyStatement:
    """Return the key statement that allows the same role to encrypt, only through S3 and only for this bucket."""
    return iam.PolicyStatement(
        sid=_sid("EncryptUploads", sender.name),
        principals=[_account(sender.place)],
        actions=list(ENCRYPT),
        resources=["*"],
        conditions=with_organization(
            organization, ArnEquals={"aws:PrincipalArn": sender.role.arn}, StringEquals=via_s3(bucket)
        ),
    )


def grant_upload(role: iam.IRole, sender: SenderNames, bucket: PayloadBucketNames) -> None:
    """Allow the sender's role, in its own policy, to upload."""
    allow(
        role,
        sid="Upload",
        actions=UPLOAD,
        resources=[_outbox_arn(bucket, sender)],
        conditions={"StringEqualsIfExists": OWNERS_ACL},
        wildcards=BELOW_A_PREFIX,
    )
    allow(
        role,
        sid="EncryptUploads",
        actions=ENCRYPT,
        resources=[bucket.key_arn_pattern],
        conditions={"StringEquals": via_s3(bucket)},
        wildcards=ANY_KEY,
    )


# Put events ----------------------------------------------------------------------------------------------------------


def put_events(bus: Resource, place: Place, *, organization: str | None) -> iam.PolicyStatement:
    """Return the bus statement that allows a sender's account, with all its roles, to put events.

    EventBridge reports the account of an event and no role. A narrower statement would exclude the account's own rules
    and guarantee nothing more. Its endpoint accepts TLS only, so the statement requires no `aws:SecureTransport`: the
    requests of those rules may lack the key.
    """
    return iam.PolicyStatement(
        sid=f"PutEventsFrom{place.account}",
        principals=[_account(place)],
        actions=["events:PutEvents"],
        resources=[bus.arn],
        conditions=with_organization(organization),
    )


def grant_put_events(role: iam.IRole, bus: Resource) -> None:
    """Allow the sender's role, in its own policy, to put events."""
    allow(role, sid="PutEvents", actions=["events:PutEvents"], resources=[bus.arn])


# Report to a sender --------------------------------------------------------------------------------------------------


def report(sender: SenderNames, *, organization: str | None) -> iam.PolicyStatement:
    """Return the statement of a sender's bus that allows the publish function's role to put events about messages."""
    publisher = sender.publisher
    return iam.PolicyStatement(
        sid="ReportFromPublisher",
        principals=[_account(publisher.place)],
        actions=["events:PutEvents"],
        resources=[sender.event_bus.arn],
        conditions=with_organization(organization, ArnEquals={"aws:PrincipalArn": publisher.publish_role.arn}),
    )


def grant_report(role: iam.IRole, senders: Iterable[SenderNames]) -> None:
    """Allow the publish function's role, in its own policy, to put events on the senders' buses."""
    allow(
        role,
        sid="ReportToSenders",
        actions=["events:PutEvents"],
        resources=[sender.event_bus.arn for sender in senders],
    )


# Subscribe and deliver -----------------------------------------------------------------------------------------------


def subscribe(topic: Resource, subscriber: SubscriberNames, *, organization: str | None) -> iam.PolicyStatement:
    """Return the topic statement that allows the subscriber's account to subscribe only its endpoint."""
    return iam.PolicyStatement(
        sid=_sid("Subscribe", subscriber.name),
        principals=[_account(subscriber.place)],
        actions=["sns:Subscribe"],
        resources=[topic.arn],
        conditions=with_organization(
            organization, StringEquals={"sns:Protocol": subscriber.kind, "sns:Endpoint": subscriber.endpoint}
        ),
    )


def deny_unknown_endpoints(topic: Resource, subscribers: Iterable[SubscriberNames]) -> iam.PolicyStatement:
    """Return the topic statement that denies other endpoints to all principals, administrators included."""
    endpoints = {"sns:Endpoint": [subscriber.endpoint for subscriber in subscribers]}
    return deny("DenyUnknownEndpoints", ["sns:Subscribe"], [topic.arn], StringNotEquals=endpoints)


def allow_delivery(publisher: PublisherNames, queue: sqs.IQueue) -> None:
    """Add the statements that allow SNS to send messages of the topic to the queue, and to use the queue's key."""
    services = publisher.sns_principals(Stack.of(queue).region)
    statement = iam.PolicyStatement(
        sid="DeliverFromTopic",
        principals=[iam.ServicePrincipal(service) for service in services],
        actions=["sqs:SendMessage"],
        resources=[queue.queue_arn],
        conditions={"ArnEquals": {"aws:SourceArn": publisher.topic.arn}},
    )
    queue.add_to_resource_policy(statement)
    if queue.encryption_master_key:
        queue.encryption_master_key.add_to_resource_policy(
            statement.copy(sid="EncryptDeliveries", actions=list(USE), resources=["*"])
        )


# Conditions ----------------------------------------------------------------------------------------------------------


def via_s3(bucket: PayloadBucketNames, subscriber: SubscriberNames | None = None) -> dict[str, object]:
    """Return conditions on a use of the key: by S3, on behalf of its caller, for this bucket.

    With a bucket key, the encryption context is the bucket's ARN.
    """
    return {
        "kms:ViaService": subscriber.via_service(bucket) if subscriber else bucket.via_service,
        "kms:EncryptionContext:aws:s3:arn": bucket.bucket.arn,
    }


def with_organization(organization: str | None, **conditions: Mapping[str, object]) -> Conditions:
    """Return the conditions. If an organisation is configured, they include the principal's membership."""
    merged = {operator: dict(keys) for operator, keys in conditions.items()}
    if organization:
        merged.setdefault("StringEquals", {})["aws:PrincipalOrgID"] = organization
    return merged


def _reader_roles(subscriber: SubscriberNames) -> dict[str, object]:
    return {"aws:PrincipalArn": [role.arn for role in subscriber.reader_roles]}


def _outbox_arn(bucket: PayloadBucketNames, sender: SenderNames) -> str:
    return f"{bucket.bucket.arn}/{sender.outbox}*"


def _account(place: Place) -> iam.ArnPrincipal:
    return iam.ArnPrincipal(place.account_arn)


def _sid(purpose: str, name: str) -> str:
    return purpose + "".join(word.capitalize() for word in name.split("-"))
