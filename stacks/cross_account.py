"""What is let across an account boundary: one explicit statement with a Sid each, on the resource's side.

Every statement names the other *account* as principal and pins the one role by `aws:PrincipalArn`: AWS refuses a policy
that names a role which does not exist yet, and the publisher is deployed before its subscribers.
"""

from collections.abc import Mapping

from aws_cdk import aws_iam as iam

from stacks.deployment import Deployment, SenderConfig, SubscriberConfig, names


def read_payloads(
    deployment: Deployment, subscriber: SubscriberConfig, region: str | None = None
) -> iam.PolicyStatement:
    """Payload bucket, or its replica in a Region: the subscriber's reader roles may get what is under `payloads/`."""
    return iam.PolicyStatement(
        sid=_sid("ReadPayloads", subscriber),
        principals=[_account(subscriber.account, subscriber.region)],
        actions=["s3:GetObject"],
        resources=[f"{names.payload_bucket_arn(deployment, region)}/{names.PAYLOADS}*"],
        conditions=_only(deployment, ArnEquals={"aws:PrincipalArn": names.reader_role_arns(deployment, subscriber)}),
    )


def decrypt_payloads(
    deployment: Deployment, subscriber: SubscriberConfig, region: str | None = None
) -> iam.PolicyStatement:
    """Key: the same roles may decrypt, but only through S3 in the bucket's Region and only for that bucket."""
    return iam.PolicyStatement(
        sid=_sid("DecryptPayloads", subscriber),
        principals=[_account(subscriber.account, subscriber.region)],
        actions=["kms:Decrypt"],
        resources=["*"],
        conditions=_only(
            deployment,
            ArnEquals={"aws:PrincipalArn": names.reader_role_arns(deployment, subscriber)},
            StringEquals=through_s3(deployment, region),
        ),
    )


def through_s3(deployment: Deployment, region: str | None = None) -> dict[str, str]:
    """Conditions on a use of the key: by S3, for its caller, and for the payload bucket or its replica in a Region
    (with a bucket key, the encryption context is the bucket's ARN)."""
    return {
        "kms:ViaService": names.s3_endpoint(region or deployment.publisher.region),
        "kms:EncryptionContext:aws:s3:arn": names.payload_bucket_arn(deployment, region),
    }


def subscribe(deployment: Deployment, subscriber: SubscriberConfig) -> iam.PolicyStatement:
    """Topic: the subscriber's account may subscribe its own endpoint and nothing else."""
    return iam.PolicyStatement(
        sid=_sid("Subscribe", subscriber),
        principals=[_account(subscriber.account, subscriber.region)],
        actions=["sns:Subscribe"],
        resources=[names.topic_arn(deployment)],
        conditions=_only(
            deployment,
            StringEquals={
                "sns:Protocol": subscriber.kind,
                "sns:Endpoint": names.endpoint(deployment, subscriber),
            },
        ),
    )


def subscribe_nothing_else(deployment: Deployment) -> iam.PolicyStatement:
    """Topic: nobody, the publisher's own administrators included, subscribes an endpoint that is not configured."""
    return iam.PolicyStatement(
        sid="DenySubscribingOtherEndpoints",
        effect=iam.Effect.DENY,
        principals=[iam.AnyPrincipal()],
        actions=["sns:Subscribe"],
        resources=[names.topic_arn(deployment)],
        conditions={
            "StringNotEquals": {"sns:Endpoint": [names.endpoint(deployment, s) for s in deployment.subscribers]}
        },
    )


TOPIC_ACTIONS = (
    "sns:AddPermission",
    "sns:DeleteTopic",
    "sns:GetTopicAttributes",
    "sns:ListSubscriptionsByTopic",
    "sns:Publish",
    "sns:RemovePermission",
    "sns:SetTopicAttributes",
    "sns:Subscribe",
)
"""What a topic's policy can speak of; SNS refuses `sns:*` there. (SNS developer guide, "Amazon SNS access control".)"""


def over_tls_only(topic_arn: str) -> iam.PolicyStatement:
    """Topic: no request in the clear."""
    return iam.PolicyStatement(
        sid="DenyWithoutTls",
        effect=iam.Effect.DENY,
        principals=[iam.AnyPrincipal()],
        actions=list(TOPIC_ACTIONS),
        resources=[topic_arn],
        conditions={"Bool": {"aws:SecureTransport": "false"}},
    )


def put_events(deployment: Deployment, account: str) -> iam.PolicyStatement:
    """Event bus: a sender's account may put events, whichever of its roles does: EventBridge tells a subscriber the
    account and no role, so that a pin would keep out an account's own rules and promise nothing more."""
    return iam.PolicyStatement(
        sid=f"PutEventsFrom{account}",
        principals=[_account(account, deployment.publisher.region)],
        actions=["events:PutEvents"],
        resources=[names.event_bus_arn(deployment)],
        conditions=_only(deployment, Bool={"aws:SecureTransport": "true"}),
    )


UPLOAD = ("s3:PutObject", "s3:AbortMultipartUpload")
"""What a sender does in its folder of the outbox; `PutObject` covers the parts of an upload, too."""
ENCRYPT = ("kms:GenerateDataKey", "kms:Decrypt")
"""What S3 does with the key for who uploads; `Decrypt` for the parts of an upload. (S3 user guide, "Multipart upload
API and permissions".)"""


def upload(deployment: Deployment, sender: SenderConfig) -> iam.PolicyStatement:
    """Payload bucket: the sender's role may upload to its own folder of the outbox."""
    return iam.PolicyStatement(
        sid=_sid("Upload", sender),
        principals=[_account(sender.account, deployment.publisher.region)],
        actions=list(UPLOAD),
        resources=[f"{names.payload_bucket_arn(deployment)}/{names.sender_outbox(sender)}*"],
        conditions=_only(deployment, ArnEquals={"aws:PrincipalArn": names.sender_role_arn(deployment, sender)}),
    )


def encrypt_uploads(deployment: Deployment, sender: SenderConfig) -> iam.PolicyStatement:
    """Key: the same role may encrypt, but only through S3 in the bucket's Region and only for that bucket."""
    return iam.PolicyStatement(
        sid=_sid("EncryptUploads", sender),
        principals=[_account(sender.account, deployment.publisher.region)],
        actions=list(ENCRYPT),
        resources=["*"],
        conditions=_only(
            deployment,
            ArnEquals={"aws:PrincipalArn": names.sender_role_arn(deployment, sender)},
            StringEquals=through_s3(deployment),
        ),
    )


def deliver(deployment: Deployment, *, queue_arn: str, queue_region: str) -> iam.PolicyStatement:
    """Queue: SNS may send what comes from the topic."""
    return iam.PolicyStatement(
        sid="DeliverFromTopic",
        principals=[_sns(deployment, queue_region)],
        actions=["sqs:SendMessage"],
        resources=[queue_arn],
        conditions={"ArnEquals": {"aws:SourceArn": names.topic_arn(deployment)}},
    )


def tell_traces(deployment: Deployment) -> iam.PolicyStatement:
    """X-Ray: SNS may send segments of what it delivers from the topic."""
    return iam.PolicyStatement(
        sid="TellTraces",
        principals=[iam.ServicePrincipal("sns.amazonaws.com")],
        actions=["xray:PutTraceSegments", "xray:GetSamplingRules", "xray:GetSamplingTargets"],
        resources=["*"],
        conditions={
            "StringEquals": {"aws:SourceAccount": deployment.publisher.account},
            "ArnEquals": {"aws:SourceArn": names.topic_arn(deployment)},
        },
    )


def invoke_principal(deployment: Deployment, region: str) -> iam.ServicePrincipal:
    """Function: whom the permission to invoke is given to (with the topic as its source)."""
    return _sns(deployment, region)


def _sns(deployment: Deployment, endpoint_region: str) -> iam.ServicePrincipal:
    return iam.ServicePrincipal(
        names.sns_principal(topic_region=deployment.publisher.region, endpoint_region=endpoint_region)
    )


def _account(account: str, region: str) -> iam.ArnPrincipal:
    return iam.ArnPrincipal(names.account_principal_arn(account, region))


def _only(deployment: Deployment, **conditions: Mapping[str, object]) -> dict[str, dict[str, object]]:
    """The conditions, and membership of the organisation where one is configured."""
    merged = {operator: dict(keys) for operator, keys in conditions.items()}
    if deployment.organization:
        merged.setdefault("StringEquals", {})["aws:PrincipalOrgID"] = deployment.organization
    return merged


def _sid(purpose: str, party: SenderConfig | SubscriberConfig) -> str:
    return purpose + "".join(word.capitalize() for word in party.name.split("-"))
