"""Ways to break a policy, applied to the templates of one deployment: each has to be caught.

`BY_HAND` are what a hostile reader, or a tired colleague, would think of. `every_way` goes over every statement of
every template and drops, inverts and widens each of its parts, so that no part is there without a check that needs it.
"""

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from access.assembly import StackTemplate
from tests.policies.rows import STRANGER

Node = dict[str, Any]
PUBLISHER, SHOP, ORDERS, REDRIVE, BILLING = (
    "coatcheck-publisher",
    "coatcheck-shop-sender",
    "coatcheck-orders",
    "coatcheck-orders-undelivered",
    "coatcheck-billing",
)
EVIL = f"arn:aws:iam::{STRANGER}:root"


@dataclass(frozen=True)
class Mutant:
    """`breaks` changes the templates in place."""

    name: str
    breaks: Callable[["Templates"], object]

    def of(self, stacks: tuple[StackTemplate, ...]) -> tuple[StackTemplate, ...]:
        """The stacks, broken.

        Raises:
            ValueError: when nothing changed: the mutant misses its mark.
        """
        broken = tuple(replace(stack, template=copy.deepcopy(stack.template)) for stack in stacks)
        self.breaks(Templates(broken))
        if broken == stacks:
            raise ValueError(f"mutant {self.name!r} changes nothing")
        return broken


class Templates:
    """Finds, in templates that may be changed, what a mutant breaks."""

    def __init__(self, stacks: tuple[StackTemplate, ...]) -> None:
        self.resources: dict[str, Node] = {stack.name: stack.template["Resources"] for stack in stacks}

    def one(self, stack: str, kind: str, starts: str = "") -> Node:
        """Properties of the one resource of that type whose logical id starts so; what alarms use has to be named."""
        (found,) = (
            each["Properties"]
            for logical, each in self.resources[stack].items()
            if each["Type"] == kind
            and logical.startswith(starts)
            and logical.startswith("Alarms") == starts.startswith("Alarms")
        )
        properties: Node = found
        return properties

    def bucket(self, sid: str | None = "ReadPayloadsOrders", stack: str = PUBLISHER) -> Node:
        return _said(self.one(stack, "AWS::S3::BucketPolicy")["PolicyDocument"], sid)

    def key(self, sid: str = "DecryptPayloadsOrders") -> Node:
        return _said(self.one(PUBLISHER, "AWS::KMS::Key")["KeyPolicy"], sid)

    def topic(self, sid: str = "SubscribeOrders") -> Node:
        return _said(self.one(PUBLISHER, "AWS::SNS::TopicPolicy")["PolicyDocument"], sid)

    def alarms(self, stack: str) -> Node:
        """The statement that lets alarms tell people."""
        policy = self.one(stack, "AWS::SNS::TopicPolicy", "AlarmsTopicPolicy")
        return _said(policy["PolicyDocument"], "PublishAlarms")

    def alarms_key(self, stack: str) -> Node:
        return _said(self.one(stack, "AWS::KMS::Key", "AlarmsKey")["KeyPolicy"], "EncryptAlarms")

    def logical(self, stack: str, starts: str, kind: str) -> str:
        (found,) = (
            logical
            for logical, each in self.resources[stack].items()
            if each["Type"] == kind and logical.startswith(starts)
        )
        return found

    def queue(self, sid: str | None = "DeliverFromTopic", stack: str = ORDERS, starts: str = "QueuePolicy") -> Node:
        return _said(self.one(stack, "AWS::SQS::QueuePolicy", starts)["PolicyDocument"], sid)

    def bus(self) -> Node:
        statement: Node = self.one(PUBLISHER, "AWS::Events::EventBusPolicy")["Statement"]
        return statement

    def invoke(self, stack: str = BILLING, starts: str = "InvokeFromTopic") -> Node:
        return self.one(stack, "AWS::Lambda::Permission", starts)

    def trust(self, stack: str, starts: str) -> Node:
        (statement,) = self.one(stack, "AWS::IAM::Role", starts)["AssumeRolePolicyDocument"]["Statement"]
        found: Node = statement
        return found

    def may(self, stack: str, starts: str, action: str) -> Node:
        """The statement of that role's own policy that has that action."""
        (statement,) = (
            each
            for each in self.one(stack, "AWS::IAM::Policy", starts)["PolicyDocument"]["Statement"]
            if action in _list(each["Action"])
        )
        found: Node = statement
        return found

    def forget(self, stack: str, kind: str, statement: Node, starts: str = "") -> object:
        """Take one statement out of a policy."""
        statements = self._statements(stack, kind, starts)
        return statements.pop(statements.index(statement))

    def grant(self, stack: str, starts: str, action: str, resource: str = "*", **more: Any) -> None:
        """Give a role's own policy one statement more."""
        self.one(stack, "AWS::IAM::Policy", starts)["PolicyDocument"]["Statement"].append(
            {"Effect": "Allow", "Action": action, "Resource": resource, **more}
        )

    def open(
        self, stack: str, kind: str, principal: object, action: str, resource: str = "*", starts: str = ""
    ) -> Node:
        """Give a resource policy one statement more."""
        added = {"Effect": "Allow", "Principal": principal, "Action": action, "Resource": resource}
        self._statements(stack, kind, starts).append(added)
        return added

    def _statements(self, stack: str, kind: str, starts: str) -> list[Node]:
        document = "KeyPolicy" if kind == "AWS::KMS::Key" else "PolicyDocument"
        statements: list[Node] = self.one(stack, kind, starts)[document]["Statement"]
        return statements

    def remove(self, stack: str, starts: str) -> None:
        (logical,) = (each for each in self.resources[stack] if each.startswith(starts))
        del self.resources[stack][logical]

    def add(self, stack: str, kind: str, **properties: Any) -> None:
        self.resources[stack]["Added"] = {"Type": kind, "Properties": properties}


def _said(document: Node, sid: str | None) -> Node:
    (statement,) = (each for each in document["Statement"] if each.get("Sid") == sid)
    found: Node = statement
    return found


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _drop(node: Node, *path: str) -> object:
    for step in path[:-1]:
        node = node[step]
    return node.pop(path[-1])


def _to(node: Node, *path_and_value: Any) -> object:
    *path, last, value = path_and_value
    for step in path:
        node = node.setdefault(step, {})
    node[last] = value
    return value


def _rename(node: Node, old: str, new: str) -> object:
    return _to(node, new, node.pop(old))


_ROLE = "arn:aws:iam::222222222222:role/"
_BUCKET = "arn:aws:s3:::coatcheck-payloads-111111111111-us-east-1"
_TOPIC = "arn:aws:sns:us-east-1:111111111111:coatcheck-messages"
_QUEUE = "arn:aws:sqs:us-west-2:222222222222:coatcheck-orders"
_PIN = ("Condition", "ArnEquals", "aws:PrincipalArn")
_ORG = ("Condition", "StringEquals", "aws:PrincipalOrgID")
_SOURCE = ("Condition", "ArnEquals", "aws:SourceArn")
_VIA = ("Condition", "StringEquals", "kms:ViaService")
_FOR = ("Condition", "StringEquals", "kms:EncryptionContext:aws:s3:arn")
_BPA = "PublicAccessBlockConfiguration"

_BREAKS: dict[str, Callable[[Templates], object]] = {
    # Reading payloads: the bucket.
    "bucket: readers not pinned to a role": lambda t: _drop(t.bucket(), "Condition", "ArnEquals"),
    "bucket: pinned to any role of the account": lambda t: _to(t.bucket(), *_PIN, f"{_ROLE}*"),
    "bucket: pinned to any account's role of that name": lambda t: (
        _to(t.bucket(), *_PIN, "arn:aws:iam::*:role/coatcheck-orders-reader"),
        _to(t.bucket(), "Principal", "*"),
    ),
    "bucket: pin not asked for when absent": lambda t: _rename(
        t.bucket()["Condition"], "ArnEquals", "ArnEqualsIfExists"
    ),
    "bucket: pin inverted": lambda t: _rename(t.bucket()["Condition"], "ArnEquals", "ArnNotEquals"),
    "bucket: pin misspelt": lambda t: _rename(t.bucket()["Condition"], "ArnEquals", "ArnEqual"),
    "bucket: reader's name drifts": lambda t: _to(t.bucket(), *_PIN, [f"{_ROLE}coatcheck-order-reader"]),
    "bucket: one reader role more": lambda t: t.bucket()["Condition"]["ArnEquals"]["aws:PrincipalArn"].append(
        f"{_ROLE}x"
    ),
    "bucket: any principal": lambda t: _to(t.bucket(), "Principal", "*"),
    "bucket: any principal, as a list": lambda t: _to(t.bucket(), "Principal", {"AWS": ["*"]}),
    "bucket: a stranger beside the subscriber": lambda t: _to(
        t.bucket(), "Principal", {"AWS": [EVIL, f"{_ROLE[:-5]}root"]}
    ),
    "bucket: everybody but a stranger": lambda t: (
        _drop(t.bucket(), "Principal"),
        _to(t.bucket(), "NotPrincipal", {"AWS": EVIL}),
    ),
    "bucket: organisation not asked for": lambda t: _drop(t.bucket(), "Condition", "StringEquals"),
    "bucket: another organisation": lambda t: _to(t.bucket(), *_ORG, "o-somebodyelse"),
    "bucket: any organisation": lambda t: _to(
        t.bucket(),
        "Condition",
        {**t.bucket()["Condition"], "StringEquals": {}, "StringLike": {"aws:PrincipalOrgID": "o-*"}},
    ),
    "bucket: writing too": lambda t: _to(t.bucket(), "Action", ["s3:GetObject", "s3:PutObject"]),
    "bucket: everything": lambda t: _to(t.bucket(), "Action", "s3:*"),
    "bucket: every way of getting": lambda t: _to(t.bucket(), "Action", "s3:GetObject*"),
    "bucket: everything but deleting": lambda t: (
        _drop(t.bucket(), "Action"),
        _to(t.bucket(), "NotAction", "s3:DeleteObject"),
    ),
    "bucket: the outbox too": lambda t: _to(t.bucket(), "Resource", f"{_BUCKET}/*"),
    "bucket: prefix without its slash": lambda t: _to(t.bucket(), "Resource", f"{_BUCKET}/payloads*"),
    "bucket: any resource": lambda t: _to(t.bucket(), "Resource", "*"),
    "bucket: all but the outbox": lambda t: (
        _drop(t.bucket(), "Resource"),
        _to(t.bucket(), "NotResource", f"{_BUCKET}/outbox/*"),
    ),
    "bucket: listing for readers": lambda t: t.open(
        PUBLISHER, "AWS::S3::BucketPolicy", {"AWS": f"{_ROLE}coatcheck-orders-reader"}, "s3:ListBucket", _BUCKET
    ),
    "bucket: a second statement for a stranger": lambda t: t.open(
        PUBLISHER, "AWS::S3::BucketPolicy", {"AWS": EVIL}, "s3:GetObject", f"{_BUCKET}/payloads/*"
    ),
    "bucket: a service without source": lambda t: t.open(
        PUBLISHER, "AWS::S3::BucketPolicy", {"Service": "logging.s3.amazonaws.com"}, "s3:PutObject", f"{_BUCKET}/*"
    ),
    "bucket: reading denied by mistake": lambda t: _to(t.bucket(), "Effect", "Deny"),
    "bucket: a reader forgotten": lambda t: t.forget(PUBLISHER, "AWS::S3::BucketPolicy", t.bucket()),
    "bucket: in the clear": lambda t: t.forget(PUBLISHER, "AWS::S3::BucketPolicy", t.bucket(None)),
    "bucket: TLS inverted": lambda t: _to(t.bucket(None), "Condition", {"Bool": {"aws:SecureTransport": "true"}}),
    "bucket: TLS for the bucket, not its objects": lambda t: _to(t.bucket(None), "Resource", _BUCKET),
    "bucket: TLS for reading only": lambda t: _to(t.bucket(None), "Action", "s3:Get*"),
    "bucket: TLS for subscribers only": lambda t: _to(t.bucket(None), "Principal", {"AWS": "222222222222"}),
    "bucket: policy gone": lambda t: t.remove(PUBLISHER, "PayloadBucketPolicy"),
    "bucket: block of public access gone": lambda t: _drop(t.one(PUBLISHER, "AWS::S3::Bucket"), _BPA),
    "bucket: public policies not blocked": lambda t: _to(
        t.one(PUBLISHER, "AWS::S3::Bucket"), _BPA, "RestrictPublicBuckets", False
    ),
    "bucket: access control lists on": lambda t: _drop(t.one(PUBLISHER, "AWS::S3::Bucket"), "OwnershipControls"),
    "bucket: replicated to a stranger": lambda t: _to(
        t.one(PUBLISHER, "AWS::S3::Bucket"),
        "ReplicationConfiguration",
        {"Role": "r", "Rules": [{"Status": "Enabled", "Destination": {"Bucket": "arn:aws:s3:::stranger"}}]},
    ),
    "bucket: not encrypted with the key": lambda t: _to(
        t.one(PUBLISHER, "AWS::S3::Bucket"),
        "BucketEncryption",
        {"ServerSideEncryptionConfiguration": [{"ServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]},
    ),
    "outbox: uploads not pinned to a role": lambda t: _drop(t.bucket("UploadShop"), "Condition", "ArnEquals"),
    "outbox: a sender uploads into any folder": lambda t: _to(
        t.bucket("UploadShop"), "Resource", f"{_BUCKET}/outbox/*"
    ),
    "outbox: a sender uploads into folders that begin so": lambda t: _to(
        t.bucket("UploadShop"), "Resource", f"{_BUCKET}/outbox/shop*"
    ),
    "outbox: a sender uploads payloads": lambda t: _to(
        t.bucket("UploadShop"), "Resource", [f"{_BUCKET}/outbox/shop/*", f"{_BUCKET}/payloads/*"]
    ),
    "outbox: a sender reads what it uploaded": lambda t: t.bucket("UploadShop")["Action"].append("s3:GetObject"),
    "outbox: a sender forgotten": lambda t: t.forget(PUBLISHER, "AWS::S3::BucketPolicy", t.bucket("UploadShop")),
    "staging: open to the publisher": lambda t: t.open(
        ORDERS, "AWS::S3::BucketPolicy", {"AWS": "111111111111"}, "s3:GetObject", starts="ConsumerStagingBucket"
    ),
    "landing bucket: open to the publisher": lambda t: t.open(
        ORDERS, "AWS::S3::BucketPolicy", {"AWS": "111111111111"}, "s3:GetObject", starts="LandingBucket"
    ),
    "landing bucket: not encrypted with its key": lambda t: _to(
        t.one(ORDERS, "AWS::S3::Bucket", "LandingBucket"),
        "BucketEncryption",
        {"ServerSideEncryptionConfiguration": [{"ServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]},
    ),
    "landing bucket: another account owns its key": lambda t: _to(
        t.one(ORDERS, "AWS::KMS::Key", "LandingKey")["KeyPolicy"]["Statement"][0], "Principal", {"AWS": EVIL}
    ),
    "staging: public": lambda t: (
        t.open(BILLING, "AWS::S3::BucketPolicy", "*", "s3:GetObject"),
        _drop(t.one(BILLING, "AWS::S3::Bucket"), _BPA),
    ),
    # Decrypting them: the key.
    "key: row of a subscriber gone": lambda t: t.forget(PUBLISHER, "AWS::KMS::Key", t.key()),
    "key: readers not pinned to a role": lambda t: _drop(t.key(), "Condition", "ArnEquals"),
    "key: not only through S3": lambda t: _drop(t.key(), *_VIA),
    "key: through S3 of any Region": lambda t: (
        _drop(t.key(), *_VIA),
        _to(t.key(), "Condition", "StringLike", {"kms:ViaService": "s3.*.amazonaws.com"}),
    ),
    "key: through S3 of the reader's Region": lambda t: _to(t.key(), *_VIA, "s3.us-west-2.amazonaws.com"),
    "key: for any bucket": lambda t: _drop(t.key(), *_FOR),
    "key: for buckets whose name begins so": lambda t: (
        _drop(t.key(), *_FOR),
        _to(t.key(), "Condition", "StringLike", {_FOR[-1]: f"{_BUCKET}*"}),
    ),
    "key: for an object, not the bucket": lambda t: _to(t.key(), *_FOR, f"{_BUCKET}/payloads/*"),
    "key: organisation not asked for": lambda t: _drop(t.key(), *_ORG),
    "key: encrypting too": lambda t: _to(t.key(), "Action", ["kms:Decrypt", "kms:GenerateDataKey"]),
    "key: grants too": lambda t: _to(t.key(), "Action", ["kms:Decrypt", "kms:CreateGrant"]),
    "key: everything": lambda t: _to(t.key(), "Action", "kms:*"),
    "key: any principal": lambda t: _to(t.key(), "Principal", "*"),
    "key: the owner locked out": lambda t: t.one(PUBLISHER, "AWS::KMS::Key")["KeyPolicy"]["Statement"].pop(0),
    "key: another account as owner": lambda t: _to(
        t.one(PUBLISHER, "AWS::KMS::Key")["KeyPolicy"]["Statement"][0], "Principal", {"AWS": EVIL}
    ),
    "key: uploads not pinned to a role": lambda t: _drop(t.key("EncryptUploadsShop"), "Condition", "ArnEquals"),
    "key: uploads not only through S3": lambda t: _drop(t.key("EncryptUploadsShop"), *_VIA),
    "key: uploads without parts": lambda t: t.key("EncryptUploadsShop")["Action"].remove("kms:Decrypt"),
    "key: SNS on anybody's behalf": lambda t: t.open(
        PUBLISHER, "AWS::KMS::Key", {"Service": "sns.amazonaws.com"}, "kms:Decrypt"
    ),
    "key: never rotates": lambda t: _to(t.one(PUBLISHER, "AWS::KMS::Key"), "EnableKeyRotation", False),
    # Subscribing and publishing: the topic.
    "topic: any endpoint of the account": lambda t: (
        _drop(t.topic(), "Condition", "StringEquals", "sns:Endpoint"),
        t.forget(PUBLISHER, "AWS::SNS::TopicPolicy", t.topic("DenyUnknownEndpoints")),
    ),
    "topic: any protocol": lambda t: _drop(t.topic(), "Condition", "StringEquals", "sns:Protocol"),
    "topic: any endpoint, for administrators": lambda t: t.forget(
        PUBLISHER, "AWS::SNS::TopicPolicy", t.topic("DenyUnknownEndpoints")
    ),
    "topic: any endpoint that begins so": lambda t: _to(
        t.topic("DenyUnknownEndpoints"),
        "Condition",
        {"StringNotLike": {"sns:Endpoint": ["arn:aws:sqs:*", "arn:aws:lambda:*"]}},
    ),
    "topic: a stranger's endpoint among the allowed": lambda t: t.topic("DenyUnknownEndpoints")["Condition"][
        "StringNotEquals"
    ]["sns:Endpoint"].append(f"arn:aws:sqs:us-east-1:{STRANGER}:q"),
    "topic: endpoint's name drifts": lambda t: _to(
        t.topic(), "Condition", "StringEquals", "sns:Endpoint", f"{_QUEUE}-x"
    ),
    "topic: organisation not asked for": lambda t: _drop(t.topic(), *_ORG),
    "topic: subscribers publish": lambda t: _to(t.topic(), "Action", ["sns:Subscribe", "sns:Publish"]),
    "topic: any principal subscribes": lambda t: _to(t.topic(), "Principal", {"AWS": "*"}),
    "topic: EventBridge publishes on anybody's behalf": lambda t: t.open(
        PUBLISHER, "AWS::SNS::TopicPolicy", {"Service": "events.amazonaws.com"}, "sns:Publish", _TOPIC
    ),
    "topic: S3 publishes on anybody's behalf": lambda t: t.open(
        PUBLISHER, "AWS::SNS::TopicPolicy", {"Service": "s3.amazonaws.com"}, "sns:Publish", _TOPIC
    ),
    "topic: a sender publishes directly": lambda t: t.open(
        PUBLISHER, "AWS::SNS::TopicPolicy", {"AWS": "444444444444"}, "sns:Publish", _TOPIC
    ),
    "topic: in the clear": lambda t: t.forget(PUBLISHER, "AWS::SNS::TopicPolicy", t.topic("DenyInsecureTransport")),
    "topic: publishing in the clear": lambda t: t.topic("DenyInsecureTransport")["Action"].remove("sns:Publish"),
    "topic: not encrypted": lambda t: _drop(t.one(PUBLISHER, "AWS::SNS::Topic"), "KmsMasterKeyId"),
    "topic: a subscription of the publisher's": lambda t: _to(
        t.one(PUBLISHER, "AWS::SNS::Topic"),
        "Subscription",
        [{"Protocol": "https", "Endpoint": "https://collector.invalid/"}],
    ),
    # Alarms.
    "alarms: a stranger's tell too": lambda t: _drop(t.alarms(ORDERS), "Condition", "ArnLike"),
    "alarms: of any account": lambda t: _to(
        t.alarms(ORDERS), "Condition", "ArnLike", "aws:SourceArn", "arn:aws:cloudwatch:*:*:alarm:coatcheck-orders-*"
    ),
    "alarms: account not asked for": lambda t: _drop(t.alarms(REDRIVE), "Condition", "StringEquals"),
    "alarms: any service tells": lambda t: _to(t.alarms(BILLING), "Principal", {"Service": "events.amazonaws.com"}),
    "alarms: everybody tells": lambda t: _to(t.alarms(PUBLISHER), "Principal", "*"),
    "alarms: nobody tells": lambda t: t.forget(
        PUBLISHER, "AWS::SNS::TopicPolicy", t.alarms(PUBLISHER), "AlarmsTopicPolicy"
    ),
    "alarms: told in the clear": lambda t: _drop(t.one(BILLING, "AWS::SNS::Topic", "Alarms"), "KmsMasterKeyId"),
    "alarms: key used for anybody": lambda t: _drop(t.alarms_key(ORDERS), "Condition"),
    "alarms: key decrypts for CloudWatch of any account": lambda t: _drop(
        t.alarms_key(ORDERS), "Condition", "StringEquals"
    ),
    "alarms: told to somebody who is not in the file": lambda t: t.add(
        ORDERS,
        "AWS::SNS::Subscription",
        TopicArn={"Ref": t.logical(ORDERS, "AlarmsTopic", "AWS::SNS::Topic")},
        Protocol="email",
        Endpoint="somebody@example.com",
    ),
    "subscription: a stranger's endpoint": lambda t: _to(
        t.one(ORDERS, "AWS::SNS::Subscription"), "Endpoint", f"arn:aws:sqs:us-west-2:{STRANGER}:q"
    ),
    "subscription: undelivered messages to a stranger": lambda t: _to(
        t.one(BILLING, "AWS::SNS::Subscription"),
        "RedrivePolicy",
        {"deadLetterTargetArn": f"arn:aws:sqs:us-east-1:{STRANGER}:q"},
    ),
    # Delivering: queues.
    "queue: SNS on anybody's behalf": lambda t: _drop(t.queue(), "Condition"),
    "queue: any topic of the publisher": lambda t: (
        _drop(t.queue(), *_SOURCE),
        _to(t.queue(), "Condition", "ArnLike", {"aws:SourceArn": "arn:aws:sns:us-east-1:111111111111:*"}),
    ),
    "queue: any account's topic of that name": lambda t: _to(t.queue(), *_SOURCE, _TOPIC.replace("111111111111", "*")),
    "queue: source not asked for when absent": lambda t: _rename(
        t.queue()["Condition"], "ArnEquals", "ArnEqualsIfExists"
    ),
    "queue: topic's name drifts": lambda t: _to(t.queue(), *_SOURCE, f"{_TOPIC}2"),
    "queue: any principal with that source": lambda t: _to(t.queue(), "Principal", "*"),
    "queue: every service with that source": lambda t: _to(
        t.queue(), "Principal", {"Service": ["sns.amazonaws.com", "events.amazonaws.com"]}
    ),
    "queue: SNS takes messages": lambda t: _to(t.queue(), "Action", ["sqs:SendMessage", "sqs:ReceiveMessage"]),
    "queue: the publisher's account sends": lambda t: t.open(
        ORDERS, "AWS::SQS::QueuePolicy", {"AWS": "111111111111"}, "sqs:SendMessage", starts="QueuePolicy"
    ),
    "queue: in the clear": lambda t: t.forget(ORDERS, "AWS::SQS::QueuePolicy", t.queue(None), "QueuePolicy"),
    "queue: policy of another queue": lambda t: _to(
        t.one(ORDERS, "AWS::SQS::QueuePolicy", "QueuePolicy"),
        "Queues",
        t.one(ORDERS, "AWS::SQS::QueuePolicy", "ConsumerDeadLetterQueue")["Queues"],
    ),
    "queue: not encrypted": lambda t: _drop(t.one(ORDERS, "AWS::SQS::Queue", "Queue"), "SqsManagedSseEnabled"),
    "queue: dead letters to a stranger": lambda t: _to(
        t.one(ORDERS, "AWS::SQS::Queue", "Queue"),
        "RedrivePolicy",
        "deadLetterTargetArn",
        f"arn:aws:sqs:us-west-2:{STRANGER}:q",
    ),
    "undelivered queue: any SNS source": lambda t: _drop(t.queue(stack=REDRIVE, starts="Undelivered"), "Condition"),
    "undelivered queue: topic's Region drifts": lambda t: _to(
        t.queue(stack=REDRIVE, starts="Undelivered"), *_SOURCE, _TOPIC.replace("us-east-1", "us-west-2")
    ),
    "publish dead letters: EventBridge on anybody's behalf": lambda t: _drop(
        t.one(PUBLISHER, "AWS::SQS::QueuePolicy")["PolicyDocument"]["Statement"][1], "Condition"
    ),
    # Invoking: functions.
    "function: SNS on anybody's behalf": lambda t: _drop(t.invoke(), "SourceArn"),
    "function: any topic of the publisher": lambda t: _to(
        t.invoke(), "SourceArn", "arn:aws:sns:us-east-1:111111111111:*"
    ),
    "function: any account's topic of that name": lambda t: _to(
        t.invoke(), "SourceArn", _TOPIC.replace("111111111111", "*")
    ),
    "function: anybody": lambda t: _to(t.invoke(), "Principal", "*"),
    "function: the publisher's account": lambda t: _to(t.invoke(), "Principal", "111111111111"),
    "function: everything": lambda t: _to(t.invoke(), "Action", "lambda:*"),
    "function: topic's name drifts": lambda t: _to(t.invoke(), "SourceArn", f"{_TOPIC}2"),
    "function: permission gone": lambda t: t.remove(BILLING, "InvokeFromTopic"),
    "function: an address for anybody": lambda t: t.add(BILLING, "AWS::Lambda::Url", AuthType="NONE"),
    "function: a stranger updates its code": lambda t: t.add(
        ORDERS,
        "AWS::Lambda::Permission",
        Action="lambda:UpdateFunctionCode",
        Principal=STRANGER,
        FunctionName="coatcheck-orders-consume",
    ),
    "function: runs as another role": lambda t: _to(
        t.one(ORDERS, "AWS::Lambda::Function", "ConsumerFunction"),
        "Role",
        t.one(ORDERS, "AWS::StepFunctions::StateMachine")["RoleArn"],
    ),
    "publish function: EventBridge on anybody's behalf": lambda t: _drop(
        t.invoke(PUBLISHER, "EventBusRule"), "SourceArn"
    ),
    "publish function: any rule of the account": lambda t: _to(
        t.invoke(PUBLISHER, "OutboxRule"), "SourceArn", "arn:aws:events:us-east-1:111111111111:rule/*"
    ),
    # Asking for a publication: the bus.
    "bus: any principal": lambda t: _to(t.bus(), "Principal", "*"),
    "bus: a stranger": lambda t: _to(t.bus(), "Principal", {"AWS": ["444444444444", STRANGER]}),
    "bus: organisation not asked for": lambda t: _drop(t.bus(), "Condition", "StringEquals"),
    "bus: in the clear": lambda t: _drop(t.bus(), "Condition", "Bool"),
    "bus: senders make rules": lambda t: _to(t.bus(), "Action", ["events:PutEvents", "events:PutRule"]),
    "bus: everything": lambda t: _to(t.bus(), "Action", "events:*"),
    "bus: sender's account drifts": lambda t: _to(t.bus(), "Principal", {"AWS": "arn:aws:iam::444444444445:root"}),
    "bus: policy of another bus": lambda t: _to(
        t.one(PUBLISHER, "AWS::Events::EventBusPolicy"), "EventBusName", "default"
    ),
    "bus: events that look like those of S3": lambda t: _to(
        t.one(PUBLISHER, "AWS::Events::Rule", "EventBusRule"), "EventPattern", {"source": [{"prefix": ""}]}
    ),
    "application bus: the publisher puts events": lambda t: t.add(
        ORDERS,
        "AWS::Events::EventBusPolicy",
        StatementId="x",
        EventBusName="coatcheck-orders",
        Statement={
            "Effect": "Allow",
            "Principal": {"AWS": "arn:aws:iam::111111111111:root"},
            "Action": "events:PutEvents",
            "Resource": "arn:aws:events:us-west-2:222222222222:event-bus/coatcheck-orders",
        },
    ),
    "application bus: failures to a stranger": lambda t: _to(
        t.one(ORDERS, "AWS::Events::Rule")["Targets"][0],
        "Arn",
        f"arn:aws:events:us-west-2:{STRANGER}:event-bus/default",
    ),
    "dead letters: EventBridge on anybody's behalf": lambda t: _drop(
        t.one(BILLING, "AWS::SQS::QueuePolicy", "ConsumerDeadLetterQueue")["PolicyDocument"]["Statement"][1],
        "Condition",
    ),
    "failed tasks: to a stranger": lambda t: _to(
        t.one(BILLING, "AWS::Events::Rule")["Targets"][0], "Arn", f"arn:aws:sqs:us-east-1:{STRANGER}:q"
    ),
    "rule: sends on to a stranger": lambda t: t.one(PUBLISHER, "AWS::Events::Rule", "EventBusRule")["Targets"].append(
        {
            "Id": "x",
            "Arn": f"arn:aws:events:us-east-1:{STRANGER}:event-bus/default",
            "DeadLetterConfig": t.one(PUBLISHER, "AWS::Events::Rule", "EventBusRule")["Targets"][0]["DeadLetterConfig"],
        }
    ),
    # Becoming a role: trust.
    "trust: anybody becomes the reader": lambda t: _to(
        t.trust(ORDERS, "ConsumerFunctionRole"), "Principal", {"AWS": "*"}
    ),
    "trust: the publisher becomes the reader": lambda t: _to(
        t.trust(ORDERS, "ConsumerFunctionRole"), "Principal", {"AWS": "111111111111"}
    ),
    "trust: the own account becomes the reader": lambda t: _to(
        t.trust(ORDERS, "ConsumerFunctionRole"), "Principal", {"AWS": "222222222222"}
    ),
    "trust: EC2 becomes the reader": lambda t: _to(
        t.trust(ORDERS, "ConsumerFunctionRole"), "Principal", {"Service": ["lambda.amazonaws.com", "ec2.amazonaws.com"]}
    ),
    "trust: an identity provider becomes the reader": lambda t: _to(
        t.trust(ORDERS, "ConsumerFunctionRole"), "Principal", {"Federated": "cognito-identity.amazonaws.com"}
    ),
    "trust: a stranger becomes the publisher": lambda t: _to(
        t.trust(PUBLISHER, "PublisherRole"), "Principal", {"AWS": EVIL}
    ),
    "trust: the publisher tags its sessions": lambda t: _to(
        t.trust(PUBLISHER, "PublisherRole"), "Action", ["sts:AssumeRole", "sts:TagSession"]
    ),
    "trust: ECS on anybody's behalf": lambda t: _drop(t.trust(BILLING, "TaskRole"), "Condition"),
    "trust: ECS starts tasks on anybody's behalf": lambda t: _drop(t.trust(BILLING, "TaskExecutionRole"), "Condition"),
    "trust: Step Functions on anybody's behalf": lambda t: _drop(t.trust(ORDERS, "StateMachineRole"), "Condition"),
    "trust: Step Functions for a stranger": lambda t: _to(
        t.trust(ORDERS, "StateMachineRole"), "Condition", "StringEquals", "aws:SourceAccount", STRANGER
    ),
    "trust: EventBridge forwards on anybody's behalf": lambda t: _drop(
        t.trust(ORDERS, "EventBusForwardRole"), "Condition"
    ),
    # What roles may by their own policies.
    "land: reads the outbox": lambda t: t.grant(
        ORDERS, "LandingCopyFunctionRole", "s3:GetObject", f"{_BUCKET}/outbox/*"
    ),
    "land: writes payloads": lambda t: t.grant(
        ORDERS, "LandingCopyFunctionRole", "s3:PutObject", f"{_BUCKET}/payloads/*"
    ),
    "land: decrypts with any key": lambda t: _to(
        t.may(ORDERS, "LandingCopyFunctionRole", "kms:GenerateDataKey*"), "Resource", "*"
    ),
    "land: runs as the reader": lambda t: _to(
        t.one(ORDERS, "AWS::Lambda::Function", "LandingCopyFunction"),
        "Role",
        t.one(ORDERS, "AWS::Lambda::Function", "ConsumerFunction")["Role"],
    ),
    "state machine: invokes any function": lambda t: _to(
        t.may(ORDERS, "StateMachineRole", "lambda:InvokeFunction"), "Resource", "*"
    ),
    "state machine: puts events on any bus": lambda t: _to(
        t.may(ORDERS, "StateMachineRole", "events:PutEvents"), "Resource", "*"
    ),
    "reader: reads any object": lambda t: _to(t.may(ORDERS, "ConsumerFunctionRole", "s3:GetObject"), "Resource", "*"),
    "reader: reads the outbox": lambda t: _to(
        t.may(ORDERS, "ConsumerFunctionRole", "s3:GetObject"), "Resource", f"{_BUCKET}/*"
    ),
    "reader: lost its right to read": lambda t: _to(
        t.may(ORDERS, "ConsumerFunctionRole", "s3:GetObject"), "Action", "s3:GetObjectAcl"
    ),
    "reader: decrypts with any key": lambda t: _to(
        t.may(ORDERS, "ConsumerFunctionRole", "kms:Decrypt"), "Resource", "*"
    ),
    "reader: decrypts directly": lambda t: _drop(t.may(ORDERS, "ConsumerFunctionRole", "kms:Decrypt"), "Condition"),
    "reader: lost its right to decrypt": lambda t: t.forget(
        ORDERS, "AWS::IAM::Policy", t.may(ORDERS, "ConsumerFunctionRole", "kms:Decrypt"), "ConsumerFunctionRole"
    ),
    "reader: deletes payloads": lambda t: t.grant(
        ORDERS, "ConsumerFunctionRole", "s3:DeleteObject", f"{_BUCKET}/payloads/*"
    ),
    "reader: becomes other roles": lambda t: t.grant(ORDERS, "ConsumerFunctionRole", "sts:AssumeRole"),
    "reader: starts any state machine": lambda t: _to(
        t.may(ORDERS, "ConsumerFunctionRole", "states:StartExecution"), "Resource", "*"
    ),
    "reader: an administrator": lambda t: t.grant(BILLING, "ConsumerFunctionRole", "*"),
    "reader: an administrator by managed policy": lambda t: _to(
        t.one(ORDERS, "AWS::IAM::Role", "ConsumerFunctionRole"),
        "ManagedPolicyArns",
        ["arn:aws:iam::aws:policy/AdministratorAccess"],
    ),
    "reader: passes any role": lambda t: _to(t.may(BILLING, "ConsumerFunctionRole", "iam:PassRole"), "Resource", "*"),
    "reader: passes roles to any service": lambda t: _drop(
        t.may(BILLING, "ConsumerFunctionRole", "iam:PassRole"), "Condition"
    ),
    "reader: runs any task": lambda t: _to(t.may(BILLING, "ConsumerFunctionRole", "ecs:RunTask"), "Resource", "*"),
    "reader: renamed": lambda t: _to(
        t.one(ORDERS, "AWS::IAM::Role", "ConsumerFunctionRole"), "RoleName", "coatcheck-orders-read"
    ),
    "task: writes payloads": lambda t: t.grant(BILLING, "TaskRole", "s3:PutObject", f"{_BUCKET}/payloads/*"),
    "task: runs as the reader": lambda t: _to(
        t.one(BILLING, "AWS::ECS::TaskDefinition"),
        "TaskRoleArn",
        t.one(BILLING, "AWS::Lambda::Function", "ConsumerFunction")["Role"],
    ),
    "task: an image by its tag": lambda t: _to(
        t.one(BILLING, "AWS::ECS::TaskDefinition")["ContainerDefinitions"][0], "Image", "example/application:latest"
    ),
    "image: tags are pushed again": lambda t: _drop(t.one(BILLING, "AWS::ECR::Repository"), "ImageTagMutability"),
    "image: a stranger pushes": lambda t: _to(
        t.one(BILLING, "AWS::ECR::Repository"),
        "RepositoryPolicyText",
        {
            "Statement": [
                {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{STRANGER}:root"}, "Action": "ecr:PutImage"}
            ]
        },
    ),
    "image: builds push to every repository": lambda t: t.grant(BILLING, "TaskImageBuildRole", "ecr:PutImage"),
    "image: a build runs as the task": lambda t: _to(
        t.one(BILLING, "AWS::CodeBuild::Project"),
        "ServiceRole",
        t.one(BILLING, "AWS::ECS::TaskDefinition")["TaskRoleArn"],
    ),
    "image: CodeBuild on anybody's behalf": lambda t: _drop(t.trust(BILLING, "TaskImageBuildRole"), "Condition"),
    "image: ECS fetches any": lambda t: _to(t.may(BILLING, "TaskExecutionRole", "ecr:BatchGetImage"), "Resource", "*"),
    "image: the task pushes": lambda t: t.grant(BILLING, "TaskRole", "ecr:PutImage"),
    "publisher: publishes to any topic": lambda t: _to(
        t.may(PUBLISHER, "PublisherRole", "sns:Publish"), "Resource", "*"
    ),
    "publisher: subscribes too": lambda t: t.grant(PUBLISHER, "PublisherRole", "sns:Subscribe", _TOPIC),
    "publisher: uses any key": lambda t: _to(t.may(PUBLISHER, "PublisherRole", "kms:Decrypt"), "Resource", "*"),
    "publisher: writes any object": lambda t: t.grant(PUBLISHER, "PublisherRole", "s3:PutObject"),
    "trust: anybody becomes the sender": lambda t: _to(t.trust(SHOP, "Role"), "Principal", {"AWS": "*"}),
    "trust: the publisher becomes the sender": lambda t: _to(
        t.trust(SHOP, "Role"), "Principal", {"AWS": "111111111111"}
    ),
    "sender: uploads into any folder": lambda t: _to(t.may(SHOP, "Role", "s3:PutObject"), "Resource", f"{_BUCKET}/*"),
    "sender: puts events on any bus": lambda t: _to(t.may(SHOP, "Role", "events:PutEvents"), "Resource", "*"),
    "sender: uses keys directly": lambda t: _drop(t.may(SHOP, "Role", "kms:Decrypt"), "Condition"),
    "sender: publishes past the bus": lambda t: t.grant(SHOP, "Role", "sns:Publish", _TOPIC),
    "sender: lost its right to upload": lambda t: _to(
        t.may(SHOP, "Role", "s3:PutObject"), "Action", "s3:AbortMultipartUpload"
    ),
    "a user with a key of its own": lambda t: t.add(PUBLISHER, "AWS::IAM::User", UserName="x"),
    "task: something is let in": lambda t: _to(
        t.one(BILLING, "AWS::EC2::SecurityGroup"), "SecurityGroupIngress", [{"IpProtocol": "-1", "CidrIp": "0.0.0.0/0"}]
    ),
}
BY_HAND = [Mutant(name, breaks) for name, breaks in _BREAKS.items()]


# Every statement, every part -----------------------------------------------------------------------------------------

_INVERSE = {
    "StringEquals": "StringNotEquals",
    "StringNotEquals": "StringEquals",
    "StringLike": "StringNotLike",
    "ArnEquals": "ArnNotEquals",
}


def every_way(stacks: tuple[StackTemplate, ...]) -> Iterator[Mutant]:
    """For each statement of each policy: without it; each part of it dropped, inverted or widened."""
    for stack in stacks:
        for logical, resource in stack.template["Resources"].items():
            for path in _statements(resource.get("Properties", {}), ()):
                yield from _ways(stack.name, logical, path, _at(resource["Properties"], path))


def _ways(stack: str, logical: str, path: tuple[Any, ...], statement: Node) -> Iterator[Mutant]:
    where = f"{stack}/{logical} {'.'.join(map(str, path))}"

    def mutant(what: str, change: Callable[[Node], object]) -> Mutant:
        return Mutant(f"{where}: {what}", lambda t: change(_at(t.resources[stack][logical]["Properties"], path)))

    other = "Deny" if statement["Effect"] == "Allow" else "Allow"
    yield mutant(f"{other} instead", lambda s: _to(s, "Effect", other))
    service = _list(statement["Action"])[0].partition(":")[0]
    if statement["Effect"] == "Allow":
        if statement["Action"] not in ("*", f"{service}:*"):
            yield mutant("any action of the service", lambda s: _to(s, "Action", f"{service}:*"))
        if "Principal" in statement:
            if statement["Principal"] != "*":
                yield mutant("any principal", lambda s: _to(s, "Principal", "*"))
            yield mutant("a stranger", lambda s: _to(s, "Principal", {"AWS": EVIL}))
        elif statement["Resource"] != "*":
            yield mutant("any resource", lambda s: _to(s, "Resource", "*"))
    elif "Principal" in statement:
        yield mutant("nobody", lambda s: _to(s, "Principal", {"AWS": EVIL}))
    for operator, keys in statement.get("Condition", {}).items():
        for key in keys:
            yield mutant(f"without {key}", lambda s, o=operator, k=key: _drop(s, "Condition", o, k))  # type: ignore[misc]
        if operator in _INVERSE:
            yield mutant(
                f"{operator} inverted",
                lambda s, o=operator: _rename(s["Condition"], o, _INVERSE[o]),  # type: ignore[misc]
            )
    for action in _list(statement["Action"]) if len(_list(statement["Action"])) > 1 else ():
        yield mutant(f"without {action}", lambda s, a=action: s["Action"].remove(a))  # type: ignore[misc]


def _statements(node: Any, path: tuple[Any, ...]) -> Iterator[tuple[Any, ...]]:
    if isinstance(node, dict):
        if {"Effect", "Action"} <= set(node):
            yield path
        for key, value in node.items():
            yield from _statements(value, (*path, key))
    elif isinstance(node, list):
        for index, value in enumerate(node):
            yield from _statements(value, (*path, index))


def _at(node: Any, path: tuple[Any, ...]) -> Node:
    for step in path:
        node = node[step]
    found: Node = node
    return found
