"""Mutants: broken policies of a deployment. A check must find each.

`MUTANTS` are written by hand: plausible mistakes and attacks. `generated_mutants` drops, inverts and widens each
part of each statement, so that every part is tested.
"""

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from access.assembly import StackTemplate
from tests.policies.rows import OTHER_ACCOUNT

Node = dict[str, Any]
PUBLISHER, SHOP, ORDERS, UNDELIVERED, BILLING = (
    "coatcheck-publisher",
    "coatcheck-shop-sender",
    "coatcheck-orders",
    "coatcheck-orders-undelivered",
    "coatcheck-billing",
)
OTHER_ROOT = f"arn:aws:iam::{OTHER_ACCOUNT}:root"


@dataclass(frozen=True)
class Mutant:
    """A named change of templates. `change` works in place."""

    name: str
    change: Callable[["Templates"], object]

    def apply(self, stacks: tuple[StackTemplate, ...]) -> tuple[StackTemplate, ...]:
        """Return changed copies of the stacks.

        Raises:
            ValueError: nothing was changed.
        """
        broken = tuple(replace(stack, template=copy.deepcopy(stack.template)) for stack in stacks)
        self.change(Templates(broken))
        if broken == stacks:
            raise ValueError(f"mutant {self.name!r} changes nothing")
        return broken


class Templates:
    """The parts of mutable templates that mutants change."""

    def __init__(self, stacks: tuple[StackTemplate, ...]) -> None:
        self.resources: dict[str, Node] = {stack.name: stack.template["Resources"] for stack in stacks}

    def find(self, stack: str, kind: str, prefix: str = "") -> Node:
        """Return the properties of the one resource of a type whose logical id has the prefix.

        Resources of alarms are found only with a prefix.
        """
        (found,) = (
            resource["Properties"]
            for logical, resource in self.resources[stack].items()
            if resource["Type"] == kind
            and logical.startswith(prefix)
            and logical.startswith("Alarms") == prefix.startswith("Alarms")
        )
        properties: Node = found
        return properties

    def bucket(self, sid: str | None = "ReadPayloadsOrders", stack: str = PUBLISHER) -> Node:
        return _statement(self.find(stack, "AWS::S3::BucketPolicy")["PolicyDocument"], sid)

    def key(self, sid: str = "DecryptPayloadsOrders") -> Node:
        return _statement(self.find(PUBLISHER, "AWS::KMS::Key")["KeyPolicy"], sid)

    def topic(self, sid: str = "SubscribeOrders") -> Node:
        return _statement(self.find(PUBLISHER, "AWS::SNS::TopicPolicy")["PolicyDocument"], sid)

    def alarms(self, stack: str) -> Node:
        """Return the statement that allows alarms to publish."""
        policy = self.find(stack, "AWS::SNS::TopicPolicy", "AlarmsTopicPolicy")
        return _statement(policy["PolicyDocument"], "PublishAlarms")

    def alarms_key(self, stack: str) -> Node:
        return _statement(self.find(stack, "AWS::KMS::Key", "AlarmsKey")["KeyPolicy"], "EncryptAlarms")

    def logical_id(self, stack: str, prefix: str, kind: str) -> str:
        (found,) = (
            logical
            for logical, resource in self.resources[stack].items()
            if resource["Type"] == kind and logical.startswith(prefix)
        )
        return found

    def queue(self, sid: str | None = "DeliverFromTopic", stack: str = ORDERS, prefix: str = "QueuePolicy") -> Node:
        return _statement(self.find(stack, "AWS::SQS::QueuePolicy", prefix)["PolicyDocument"], sid)

    def bus(self) -> Node:
        statement: Node = self.find(PUBLISHER, "AWS::Events::EventBusPolicy")["Statement"]
        return statement

    def invoke(self, stack: str = BILLING, prefix: str = "InvokeFromTopic") -> Node:
        return self.find(stack, "AWS::Lambda::Permission", prefix)

    def trust(self, stack: str, prefix: str) -> Node:
        (statement,) = self.find(stack, "AWS::IAM::Role", prefix)["AssumeRolePolicyDocument"]["Statement"]
        found: Node = statement
        return found

    def permission(self, stack: str, prefix: str, action: str) -> Node:
        """Return the statement of a role's policy that has an action."""
        (statement,) = (
            statement
            for statement in self.find(stack, "AWS::IAM::Policy", prefix)["PolicyDocument"]["Statement"]
            if action in _as_list(statement["Action"])
        )
        found: Node = statement
        return found

    def remove_statement(self, stack: str, kind: str, statement: Node, prefix: str = "") -> object:
        """Remove a statement from a policy."""
        statements = self._statements(stack, kind, prefix)
        return statements.pop(statements.index(statement))

    def allow(self, stack: str, prefix: str, action: str, resource: str = "*", **more: Any) -> None:
        """Add a statement to a role's policy."""
        self.find(stack, "AWS::IAM::Policy", prefix)["PolicyDocument"]["Statement"].append(
            {"Effect": "Allow", "Action": action, "Resource": resource, **more}
        )

    def add_statement(
        self, stack: str, kind: str, principal: object, action: str, resource: str = "*", prefix: str = ""
    ) -> Node:
        """Add a statement to a resource policy."""
        added = {"Effect": "Allow", "Principal": principal, "Action": action, "Resource": resource}
        self._statements(stack, kind, prefix).append(added)
        return added

    def _statements(self, stack: str, kind: str, prefix: str) -> list[Node]:
        document = "KeyPolicy" if kind == "AWS::KMS::Key" else "PolicyDocument"
        statements: list[Node] = self.find(stack, kind, prefix)[document]["Statement"]
        return statements

    def remove(self, stack: str, prefix: str) -> None:
        (logical,) = (logical for logical in self.resources[stack] if logical.startswith(prefix))
        del self.resources[stack][logical]

    def add(self, stack: str, kind: str, **properties: Any) -> None:
        self.resources[stack]["Added"] = {"Type": kind, "Properties": properties}


def _statement(document: Node, sid: str | None) -> Node:
    (statement,) = (statement for statement in document["Statement"] if statement.get("Sid") == sid)
    found: Node = statement
    return found


def _as_list(value: object) -> list[Any]:
    return value if isinstance(value, list) else [value]


def drop(node: Node, *path: str) -> object:
    for step in path[:-1]:
        node = node[step]
    return node.pop(path[-1])


def assign(node: Node, *path_and_value: Any) -> object:
    *path, last, value = path_and_value
    for step in path:
        node = node.setdefault(step, {})
    node[last] = value
    return value


def rename(node: Node, old: str, new: str) -> object:
    return assign(node, new, node.pop(old))


_ROLE = "arn:aws:iam::222222222222:role/"
_BUCKET = "arn:aws:s3:::coatcheck-payloads-111111111111-us-east-1"
_TOPIC = "arn:aws:sns:us-east-1:111111111111:coatcheck-messages"
_QUEUE = "arn:aws:sqs:us-west-2:222222222222:coatcheck-orders"
_ROLE_CONDITION = ("Condition", "ArnEquals", "aws:PrincipalArn")
_ORGANIZATION = ("Condition", "StringEquals", "aws:PrincipalOrgID")
_SOURCE = ("Condition", "ArnEquals", "aws:SourceArn")
_VIA_SERVICE = ("Condition", "StringEquals", "kms:ViaService")
_FOR_BUCKET = ("Condition", "StringEquals", "kms:EncryptionContext:aws:s3:arn")
_PUBLIC_ACCESS_BLOCK = "PublicAccessBlockConfiguration"

NOT_KMS = {"ServerSideEncryptionConfiguration": [{"ServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]}

_CHANGES: dict[str, Callable[[Templates], object]] = {
    # The payload bucket, the staging bucket and the landing bucket.
    "bucket: any role of the account": lambda t: assign(t.bucket(), *_ROLE_CONDITION, f"{_ROLE}*"),
    "bucket: a role of that name in any account": lambda t: (
        assign(t.bucket(), *_ROLE_CONDITION, "arn:aws:iam::*:role/coatcheck-orders-reader"),
        assign(t.bucket(), "Principal", "*"),
    ),
    "bucket: role condition with IfExists": lambda t: rename(t.bucket()["Condition"], "ArnEquals", "ArnEqualsIfExists"),
    "bucket: unknown condition operator": lambda t: rename(t.bucket()["Condition"], "ArnEquals", "ArnEqual"),
    "bucket: another role name": lambda t: assign(t.bucket(), *_ROLE_CONDITION, [f"{_ROLE}coatcheck-order-reader"]),
    "bucket: an additional role": lambda t: t.bucket()["Condition"]["ArnEquals"]["aws:PrincipalArn"].append(
        f"{_ROLE}x"
    ),
    "bucket: any principal, as a list": lambda t: assign(t.bucket(), "Principal", {"AWS": ["*"]}),
    "bucket: another account next to the subscriber": lambda t: assign(
        t.bucket(), "Principal", {"AWS": [OTHER_ROOT, f"{_ROLE[:-5]}root"]}
    ),
    "bucket: NotPrincipal": lambda t: (
        drop(t.bucket(), "Principal"),
        assign(t.bucket(), "NotPrincipal", {"AWS": OTHER_ROOT}),
    ),
    "bucket: another organisation": lambda t: assign(t.bucket(), *_ORGANIZATION, "o-zzzzzzzzzz"),
    "bucket: any organisation": lambda t: assign(
        t.bucket(),
        "Condition",
        {**t.bucket()["Condition"], "StringEquals": {}, "StringLike": {"aws:PrincipalOrgID": "o-*"}},
    ),
    "bucket: also s3:PutObject": lambda t: assign(t.bucket(), "Action", ["s3:GetObject", "s3:PutObject"]),
    "bucket: s3:GetObject*": lambda t: assign(t.bucket(), "Action", "s3:GetObject*"),
    "bucket: NotAction": lambda t: (
        drop(t.bucket(), "Action"),
        assign(t.bucket(), "NotAction", "s3:DeleteObject"),
    ),
    "bucket: all prefixes": lambda t: assign(t.bucket(), "Resource", f"{_BUCKET}/*"),
    "bucket: prefix without a slash": lambda t: assign(t.bucket(), "Resource", f"{_BUCKET}/payloads*"),
    "bucket: any resource": lambda t: assign(t.bucket(), "Resource", "*"),
    "bucket: NotResource": lambda t: (
        drop(t.bucket(), "Resource"),
        assign(t.bucket(), "NotResource", f"{_BUCKET}/outbox/*"),
    ),
    "bucket: readers list it": lambda t: t.add_statement(
        PUBLISHER, "AWS::S3::BucketPolicy", {"AWS": f"{_ROLE}coatcheck-orders-reader"}, "s3:ListBucket", _BUCKET
    ),
    "bucket: a statement for another account": lambda t: t.add_statement(
        PUBLISHER, "AWS::S3::BucketPolicy", {"AWS": OTHER_ROOT}, "s3:GetObject", f"{_BUCKET}/payloads/*"
    ),
    "bucket: a service without a source condition": lambda t: t.add_statement(
        PUBLISHER, "AWS::S3::BucketPolicy", {"Service": "logging.s3.amazonaws.com"}, "s3:PutObject", f"{_BUCKET}/*"
    ),
    "bucket: a reader is missing": lambda t: t.remove_statement(PUBLISHER, "AWS::S3::BucketPolicy", t.bucket()),
    "bucket: no TLS statement": lambda t: t.remove_statement(PUBLISHER, "AWS::S3::BucketPolicy", t.bucket(None)),
    "bucket: TLS condition inverted": lambda t: assign(
        t.bucket(None), "Condition", {"Bool": {"aws:SecureTransport": "true"}}
    ),
    "bucket: TLS without the objects": lambda t: assign(t.bucket(None), "Resource", _BUCKET),
    "bucket: TLS for reading only": lambda t: assign(t.bucket(None), "Action", "s3:Get*"),
    "bucket: TLS for subscribers only": lambda t: assign(t.bucket(None), "Principal", {"AWS": "222222222222"}),
    "bucket: no policy": lambda t: t.remove(PUBLISHER, "PayloadBucketPolicy"),
    "bucket: no public access block": lambda t: drop(t.find(PUBLISHER, "AWS::S3::Bucket"), _PUBLIC_ACCESS_BLOCK),
    "bucket: public policies are not restricted": lambda t: assign(
        t.find(PUBLISHER, "AWS::S3::Bucket"), _PUBLIC_ACCESS_BLOCK, "RestrictPublicBuckets", False
    ),
    "bucket: access control lists are on": lambda t: drop(t.find(PUBLISHER, "AWS::S3::Bucket"), "OwnershipControls"),
    "bucket: replicated to another account": lambda t: assign(
        t.find(PUBLISHER, "AWS::S3::Bucket"),
        "ReplicationConfiguration",
        {"Role": "r", "Rules": [{"Status": "Enabled", "Destination": {"Bucket": "arn:aws:s3:::of-another-account"}}]},
    ),
    "bucket: not encrypted with the key": lambda t: assign(
        t.find(PUBLISHER, "AWS::S3::Bucket"),
        "BucketEncryption",
        NOT_KMS,
    ),
    "outbox: a sender uploads to every prefix": lambda t: assign(
        t.bucket("UploadShop"), "Resource", f"{_BUCKET}/outbox/*"
    ),
    "outbox: prefix of a sender without a slash": lambda t: assign(
        t.bucket("UploadShop"), "Resource", f"{_BUCKET}/outbox/shop*"
    ),
    "outbox: a sender uploads payloads": lambda t: assign(
        t.bucket("UploadShop"), "Resource", [f"{_BUCKET}/outbox/shop/*", f"{_BUCKET}/payloads/*"]
    ),
    "outbox: a sender reads its uploads": lambda t: t.bucket("UploadShop")["Action"].append("s3:GetObject"),
    "outbox: a sender is missing": lambda t: t.remove_statement(
        PUBLISHER, "AWS::S3::BucketPolicy", t.bucket("UploadShop")
    ),
    "staging bucket: the publisher reads it": lambda t: t.add_statement(
        ORDERS, "AWS::S3::BucketPolicy", {"AWS": "111111111111"}, "s3:GetObject", prefix="ConsumerStagingBucket"
    ),
    "landing bucket: the publisher reads it": lambda t: t.add_statement(
        ORDERS, "AWS::S3::BucketPolicy", {"AWS": "111111111111"}, "s3:GetObject", prefix="LandingBucket"
    ),
    "landing bucket: not encrypted with its key": lambda t: assign(
        t.find(ORDERS, "AWS::S3::Bucket", "LandingBucket"),
        "BucketEncryption",
        NOT_KMS,
    ),
    "staging bucket: public": lambda t: (
        t.add_statement(BILLING, "AWS::S3::BucketPolicy", "*", "s3:GetObject"),
        drop(t.find(BILLING, "AWS::S3::Bucket"), _PUBLIC_ACCESS_BLOCK),
    ),
    # The key.
    "key: a reader is missing": lambda t: t.remove_statement(PUBLISHER, "AWS::KMS::Key", t.key()),
    "key: via S3 of any Region": lambda t: (
        drop(t.key(), *_VIA_SERVICE),
        assign(t.key(), "Condition", "StringLike", {"kms:ViaService": "s3.*.amazonaws.com"}),
    ),
    "key: via S3 of the reader's Region": lambda t: assign(t.key(), *_VIA_SERVICE, "s3.us-west-2.amazonaws.com"),
    "key: for buckets with the same beginning": lambda t: (
        drop(t.key(), *_FOR_BUCKET),
        assign(t.key(), "Condition", "StringLike", {_FOR_BUCKET[-1]: f"{_BUCKET}*"}),
    ),
    "key: for an object, not the bucket": lambda t: assign(t.key(), *_FOR_BUCKET, f"{_BUCKET}/payloads/*"),
    "key: also kms:GenerateDataKey": lambda t: assign(t.key(), "Action", ["kms:Decrypt", "kms:GenerateDataKey"]),
    "key: also kms:CreateGrant": lambda t: assign(t.key(), "Action", ["kms:Decrypt", "kms:CreateGrant"]),
    "key: no statement for its account": lambda t: t.find(PUBLISHER, "AWS::KMS::Key")["KeyPolicy"]["Statement"].pop(0),
    "key: SNS without a source condition": lambda t: t.add_statement(
        PUBLISHER, "AWS::KMS::Key", {"Service": "sns.amazonaws.com"}, "kms:Decrypt"
    ),
    "key: not rotated": lambda t: assign(t.find(PUBLISHER, "AWS::KMS::Key"), "EnableKeyRotation", False),
    # The topic.
    "topic: any endpoint of the account": lambda t: (
        drop(t.topic(), "Condition", "StringEquals", "sns:Endpoint"),
        t.remove_statement(PUBLISHER, "AWS::SNS::TopicPolicy", t.topic("DenyUnknownEndpoints")),
    ),
    "topic: any endpoint, for administrators": lambda t: t.remove_statement(
        PUBLISHER, "AWS::SNS::TopicPolicy", t.topic("DenyUnknownEndpoints")
    ),
    "topic: any endpoint of SQS or Lambda": lambda t: assign(
        t.topic("DenyUnknownEndpoints"),
        "Condition",
        {"StringNotLike": {"sns:Endpoint": ["arn:aws:sqs:*", "arn:aws:lambda:*"]}},
    ),
    "topic: an endpoint of another account": lambda t: t.topic("DenyUnknownEndpoints")["Condition"]["StringNotEquals"][
        "sns:Endpoint"
    ].append(f"arn:aws:sqs:us-east-1:{OTHER_ACCOUNT}:q"),
    "topic: another endpoint name": lambda t: assign(
        t.topic(), "Condition", "StringEquals", "sns:Endpoint", f"{_QUEUE}-x"
    ),
    "topic: subscribers publish": lambda t: assign(t.topic(), "Action", ["sns:Subscribe", "sns:Publish"]),
    "topic: any principal subscribes": lambda t: assign(t.topic(), "Principal", {"AWS": "*"}),
    "topic: EventBridge without a source condition": lambda t: t.add_statement(
        PUBLISHER, "AWS::SNS::TopicPolicy", {"Service": "events.amazonaws.com"}, "sns:Publish", _TOPIC
    ),
    "topic: S3 without a source condition": lambda t: t.add_statement(
        PUBLISHER, "AWS::SNS::TopicPolicy", {"Service": "s3.amazonaws.com"}, "sns:Publish", _TOPIC
    ),
    "topic: a sender publishes directly": lambda t: t.add_statement(
        PUBLISHER, "AWS::SNS::TopicPolicy", {"AWS": "444444444444"}, "sns:Publish", _TOPIC
    ),
    "topic: no TLS statement": lambda t: t.remove_statement(
        PUBLISHER, "AWS::SNS::TopicPolicy", t.topic("DenyInsecureTransport")
    ),
    "topic: not encrypted": lambda t: drop(t.find(PUBLISHER, "AWS::SNS::Topic"), "KmsMasterKeyId"),
    "topic: a subscription of the publisher": lambda t: assign(
        t.find(PUBLISHER, "AWS::SNS::Topic"),
        "Subscription",
        [{"Protocol": "https", "Endpoint": "https://collector.invalid/"}],
    ),
    # Alarms.
    "alarms: of any account": lambda t: assign(
        t.alarms(ORDERS), "Condition", "ArnLike", "aws:SourceArn", "arn:aws:cloudwatch:*:*:alarm:coatcheck-orders-*"
    ),
    "alarms: another service publishes": lambda t: assign(
        t.alarms(BILLING), "Principal", {"Service": "events.amazonaws.com"}
    ),
    "alarms: no statement for CloudWatch": lambda t: t.remove_statement(
        PUBLISHER, "AWS::SNS::TopicPolicy", t.alarms(PUBLISHER), "AlarmsTopicPolicy"
    ),
    "alarms: topic not encrypted": lambda t: drop(t.find(BILLING, "AWS::SNS::Topic", "Alarms"), "KmsMasterKeyId"),
    "alarms: key without conditions": lambda t: drop(t.alarms_key(ORDERS), "Condition"),
    "alarms: sent to an address that is not in the file": lambda t: t.add(
        ORDERS,
        "AWS::SNS::Subscription",
        TopicArn={"Ref": t.logical_id(ORDERS, "AlarmsTopic", "AWS::SNS::Topic")},
        Protocol="email",
        Endpoint="other@example.com",
    ),
    "subscription: an endpoint of another account": lambda t: assign(
        t.find(ORDERS, "AWS::SNS::Subscription"), "Endpoint", f"arn:aws:sqs:us-west-2:{OTHER_ACCOUNT}:q"
    ),
    "subscription: undelivered messages to another account": lambda t: assign(
        t.find(BILLING, "AWS::SNS::Subscription"),
        "RedrivePolicy",
        {"deadLetterTargetArn": f"arn:aws:sqs:us-east-1:{OTHER_ACCOUNT}:q"},
    ),
    # Queues.
    "queue: any topic of the publisher": lambda t: (
        drop(t.queue(), *_SOURCE),
        assign(t.queue(), "Condition", "ArnLike", {"aws:SourceArn": "arn:aws:sns:us-east-1:111111111111:*"}),
    ),
    "queue: the topic of any account": lambda t: assign(t.queue(), *_SOURCE, _TOPIC.replace("111111111111", "*")),
    "queue: source condition with IfExists": lambda t: rename(t.queue()["Condition"], "ArnEquals", "ArnEqualsIfExists"),
    "queue: another topic name": lambda t: assign(t.queue(), *_SOURCE, f"{_TOPIC}2"),
    "queue: another service with that source": lambda t: assign(
        t.queue(), "Principal", {"Service": ["sns.amazonaws.com", "events.amazonaws.com"]}
    ),
    "queue: SNS receives messages": lambda t: assign(t.queue(), "Action", ["sqs:SendMessage", "sqs:ReceiveMessage"]),
    "queue: the publisher's account sends": lambda t: t.add_statement(
        ORDERS, "AWS::SQS::QueuePolicy", {"AWS": "111111111111"}, "sqs:SendMessage", prefix="QueuePolicy"
    ),
    "queue: no TLS statement": lambda t: t.remove_statement(
        ORDERS, "AWS::SQS::QueuePolicy", t.queue(None), "QueuePolicy"
    ),
    "queue: policy of another queue": lambda t: assign(
        t.find(ORDERS, "AWS::SQS::QueuePolicy", "QueuePolicy"),
        "Queues",
        t.find(ORDERS, "AWS::SQS::QueuePolicy", "ConsumerDeadLetterQueue")["Queues"],
    ),
    "queue: not encrypted": lambda t: drop(t.find(ORDERS, "AWS::SQS::Queue", "Queue"), "SqsManagedSseEnabled"),
    "queue: dead letters to another account": lambda t: assign(
        t.find(ORDERS, "AWS::SQS::Queue", "Queue"),
        "RedrivePolicy",
        "deadLetterTargetArn",
        f"arn:aws:sqs:us-west-2:{OTHER_ACCOUNT}:q",
    ),
    "undelivered queue: topic of another Region": lambda t: assign(
        t.queue(stack=UNDELIVERED, prefix="Undelivered"), *_SOURCE, _TOPIC.replace("us-east-1", "us-west-2")
    ),
    # Functions.
    "function: SNS without a source condition": lambda t: drop(t.invoke(), "SourceArn"),
    "function: any topic of the publisher": lambda t: assign(
        t.invoke(), "SourceArn", "arn:aws:sns:us-east-1:111111111111:*"
    ),
    "function: the topic of any account": lambda t: assign(
        t.invoke(), "SourceArn", _TOPIC.replace("111111111111", "*")
    ),
    "function: any principal": lambda t: assign(t.invoke(), "Principal", "*"),
    "function: the publisher's account": lambda t: assign(t.invoke(), "Principal", "111111111111"),
    "function: all actions": lambda t: assign(t.invoke(), "Action", "lambda:*"),
    "function: another topic name": lambda t: assign(t.invoke(), "SourceArn", f"{_TOPIC}2"),
    "function: no permission for SNS": lambda t: t.remove(BILLING, "InvokeFromTopic"),
    "function: a public URL": lambda t: t.add(BILLING, "AWS::Lambda::Url", AuthType="NONE"),
    "function: another account updates its code": lambda t: t.add(
        ORDERS,
        "AWS::Lambda::Permission",
        Action="lambda:UpdateFunctionCode",
        Principal=OTHER_ACCOUNT,
        FunctionName="coatcheck-orders-consume",
    ),
    "function: another role": lambda t: assign(
        t.find(ORDERS, "AWS::Lambda::Function", "ConsumerFunction"),
        "Role",
        t.find(ORDERS, "AWS::StepFunctions::StateMachine")["RoleArn"],
    ),
    "publish function: EventBridge without a source condition": lambda t: drop(
        t.invoke(PUBLISHER, "EventBusRule"), "SourceArn"
    ),
    "publish function: any rule of the account": lambda t: assign(
        t.invoke(PUBLISHER, "OutboxRule"), "SourceArn", "arn:aws:events:us-east-1:111111111111:rule/*"
    ),
    # Event buses and rules.
    "bus: another account": lambda t: assign(t.bus(), "Principal", {"AWS": ["444444444444", OTHER_ACCOUNT]}),
    "bus: senders create rules": lambda t: assign(t.bus(), "Action", ["events:PutEvents", "events:PutRule"]),
    "bus: another sender account": lambda t: assign(t.bus(), "Principal", {"AWS": "arn:aws:iam::444444444445:root"}),
    "bus: policy of another bus": lambda t: assign(
        t.find(PUBLISHER, "AWS::Events::EventBusPolicy"), "EventBusName", "default"
    ),
    "bus: events that look like those of S3": lambda t: assign(
        t.find(PUBLISHER, "AWS::Events::Rule", "EventBusRule"), "EventPattern", {"source": [{"prefix": ""}]}
    ),
    "subscriber's bus: the publisher puts events": lambda t: t.add(
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
    "subscriber's bus: failures to another account": lambda t: assign(
        t.find(ORDERS, "AWS::Events::Rule")["Targets"][0],
        "Arn",
        f"arn:aws:events:us-west-2:{OTHER_ACCOUNT}:event-bus/default",
    ),
    "failed tasks: to another account": lambda t: assign(
        t.find(BILLING, "AWS::Events::Rule")["Targets"][0], "Arn", f"arn:aws:sqs:us-east-1:{OTHER_ACCOUNT}:q"
    ),
    "rule: a target in another account": lambda t: t.find(PUBLISHER, "AWS::Events::Rule", "EventBusRule")[
        "Targets"
    ].append(
        {
            "Id": "x",
            "Arn": f"arn:aws:events:us-east-1:{OTHER_ACCOUNT}:event-bus/default",
            "DeadLetterConfig": t.find(PUBLISHER, "AWS::Events::Rule", "EventBusRule")["Targets"][0][
                "DeadLetterConfig"
            ],
        }
    ),
    # Trust policies.
    "trust: any principal assumes the reader role": lambda t: assign(
        t.trust(ORDERS, "ConsumerFunctionRole"), "Principal", {"AWS": "*"}
    ),
    "trust: the publisher assumes the reader role": lambda t: assign(
        t.trust(ORDERS, "ConsumerFunctionRole"), "Principal", {"AWS": "111111111111"}
    ),
    "trust: its account assumes the reader role": lambda t: assign(
        t.trust(ORDERS, "ConsumerFunctionRole"), "Principal", {"AWS": "222222222222"}
    ),
    "trust: EC2 assumes the reader role": lambda t: assign(
        t.trust(ORDERS, "ConsumerFunctionRole"), "Principal", {"Service": ["lambda.amazonaws.com", "ec2.amazonaws.com"]}
    ),
    "trust: an identity provider assumes the reader role": lambda t: assign(
        t.trust(ORDERS, "ConsumerFunctionRole"), "Principal", {"Federated": "cognito-identity.amazonaws.com"}
    ),
    "trust: the publisher role with session tags": lambda t: assign(
        t.trust(PUBLISHER, "PublisherRole"), "Action", ["sts:AssumeRole", "sts:TagSession"]
    ),
    "trust: Step Functions for another account": lambda t: assign(
        t.trust(ORDERS, "StateMachineRole"), "Condition", "StringEquals", "aws:SourceAccount", OTHER_ACCOUNT
    ),
    # Policies of roles.
    "copy function: reads the outbox": lambda t: t.allow(
        ORDERS, "LandingCopyFunctionRole", "s3:GetObject", f"{_BUCKET}/outbox/*"
    ),
    "copy function: writes payloads": lambda t: t.allow(
        ORDERS, "LandingCopyFunctionRole", "s3:PutObject", f"{_BUCKET}/payloads/*"
    ),
    "copy function: has the reader role": lambda t: assign(
        t.find(ORDERS, "AWS::Lambda::Function", "LandingCopyFunction"),
        "Role",
        t.find(ORDERS, "AWS::Lambda::Function", "ConsumerFunction")["Role"],
    ),
    "reader: reads the outbox": lambda t: assign(
        t.permission(ORDERS, "ConsumerFunctionRole", "s3:GetObject"), "Resource", f"{_BUCKET}/*"
    ),
    "reader: does not read payloads": lambda t: assign(
        t.permission(ORDERS, "ConsumerFunctionRole", "s3:GetObject"), "Action", "s3:GetObjectAcl"
    ),
    "reader: decrypts directly": lambda t: drop(
        t.permission(ORDERS, "ConsumerFunctionRole", "kms:Decrypt"), "Condition"
    ),
    "reader: does not decrypt payloads": lambda t: t.remove_statement(
        ORDERS, "AWS::IAM::Policy", t.permission(ORDERS, "ConsumerFunctionRole", "kms:Decrypt"), "ConsumerFunctionRole"
    ),
    "reader: deletes payloads": lambda t: t.allow(
        ORDERS, "ConsumerFunctionRole", "s3:DeleteObject", f"{_BUCKET}/payloads/*"
    ),
    "reader: assumes other roles": lambda t: t.allow(ORDERS, "ConsumerFunctionRole", "sts:AssumeRole"),
    "reader: all permissions": lambda t: t.allow(BILLING, "ConsumerFunctionRole", "*"),
    "reader: a managed policy of administrators": lambda t: assign(
        t.find(ORDERS, "AWS::IAM::Role", "ConsumerFunctionRole"),
        "ManagedPolicyArns",
        ["arn:aws:iam::aws:policy/AdministratorAccess"],
    ),
    "reader: another name": lambda t: assign(
        t.find(ORDERS, "AWS::IAM::Role", "ConsumerFunctionRole"), "RoleName", "coatcheck-orders-read"
    ),
    "task: writes payloads": lambda t: t.allow(BILLING, "TaskRole", "s3:PutObject", f"{_BUCKET}/payloads/*"),
    "task: has the reader role": lambda t: assign(
        t.find(BILLING, "AWS::ECS::TaskDefinition"),
        "TaskRoleArn",
        t.find(BILLING, "AWS::Lambda::Function", "ConsumerFunction")["Role"],
    ),
    "task: an image with a tag": lambda t: assign(
        t.find(BILLING, "AWS::ECS::TaskDefinition")["ContainerDefinitions"][0], "Image", "example/application:latest"
    ),
    "image: mutable tags": lambda t: drop(t.find(BILLING, "AWS::ECR::Repository"), "ImageTagMutability"),
    "image: another account pushes": lambda t: assign(
        t.find(BILLING, "AWS::ECR::Repository"),
        "RepositoryPolicyText",
        {
            "Statement": [
                {
                    "Effect": "Allow",
                    "Principal": {"AWS": f"arn:aws:iam::{OTHER_ACCOUNT}:root"},
                    "Action": "ecr:PutImage",
                }
            ]
        },
    ),
    "image: builds push to every repository": lambda t: t.allow(BILLING, "TaskImageBuildRole", "ecr:PutImage"),
    "image: a build has the task role": lambda t: assign(
        t.find(BILLING, "AWS::CodeBuild::Project"),
        "ServiceRole",
        t.find(BILLING, "AWS::ECS::TaskDefinition")["TaskRoleArn"],
    ),
    "image: the task pushes": lambda t: t.allow(BILLING, "TaskRole", "ecr:PutImage"),
    "publisher: subscribes too": lambda t: t.allow(PUBLISHER, "PublisherRole", "sns:Subscribe", _TOPIC),
    "publisher: writes any object": lambda t: t.allow(PUBLISHER, "PublisherRole", "s3:PutObject"),
    "trust: any principal assumes the sender role": lambda t: assign(t.trust(SHOP, "Role"), "Principal", {"AWS": "*"}),
    "trust: the publisher assumes the sender role": lambda t: assign(
        t.trust(SHOP, "Role"), "Principal", {"AWS": "111111111111"}
    ),
    "sender: uploads to every prefix": lambda t: assign(
        t.permission(SHOP, "Role", "s3:PutObject"), "Resource", f"{_BUCKET}/*"
    ),
    "sender: uses keys directly": lambda t: drop(t.permission(SHOP, "Role", "kms:Decrypt"), "Condition"),
    "sender: publishes to the topic": lambda t: t.allow(SHOP, "Role", "sns:Publish", _TOPIC),
    "sender: does not upload": lambda t: assign(
        t.permission(SHOP, "Role", "s3:PutObject"), "Action", "s3:AbortMultipartUpload"
    ),
    "user: a user with access keys": lambda t: t.add(PUBLISHER, "AWS::IAM::User", UserName="x"),
    "task: ingress is allowed": lambda t: assign(
        t.find(BILLING, "AWS::EC2::SecurityGroup"),
        "SecurityGroupIngress",
        [{"IpProtocol": "-1", "CidrIp": "0.0.0.0/0"}],
    ),
    # Settings outside policies.
    "bucket: an access control list": lambda t: assign(
        t.find(PUBLISHER, "AWS::S3::Bucket"), "AccessControl", "PublicRead"
    ),
    "key: replicated to other Regions": lambda t: assign(t.find(PUBLISHER, "AWS::KMS::Key"), "MultiRegion", True),
    "key: without the lockout check": lambda t: assign(
        t.find(PUBLISHER, "AWS::KMS::Key"), "BypassPolicyLockoutSafetyCheck", True
    ),
    "subscription: another topic": lambda t: assign(
        t.find(ORDERS, "AWS::SNS::Subscription"), "TopicArn", f"{_TOPIC}-other"
    ),
    "subscription: a role": lambda t: assign(
        t.find(ORDERS, "AWS::SNS::Subscription"), "SubscriptionRoleArn", f"{_ROLE}coatcheck-orders-reader"
    ),
    "queue: other queues use it for dead letters": lambda t: assign(
        t.find(ORDERS, "AWS::SQS::Queue", "Queue"), "RedriveAllowPolicy", {"redrivePermission": "allowAll"}
    ),
    "rule: a role": lambda t: assign(
        t.find(PUBLISHER, "AWS::Events::Rule", "EventBusRule"), "RoleArn", f"{_ROLE}coatcheck-publisher"
    ),
    "outbox: events of another service": lambda t: assign(
        t.find(PUBLISHER, "AWS::Events::Rule", "OutboxRule"), "EventPattern", "source", ["aws.ec2"]
    ),
    "archive: other events": lambda t: assign(
        t.find(PUBLISHER, "AWS::Events::Archive"), "EventPattern", {"source": [{"prefix": ""}]}
    ),
    "archive: another bus": lambda t: assign(
        t.find(PUBLISHER, "AWS::Events::Archive"),
        "SourceArn",
        "arn:aws:events:us-east-1:111111111111:event-bus/default",
    ),
    "subscriber's bus: failures of another bus": lambda t: assign(
        t.find(ORDERS, "AWS::Events::Rule"), "EventBusName", "coatcheck-orders"
    ),
    "subscriber's bus: failures with another role": lambda t: assign(
        t.find(ORDERS, "AWS::Events::Rule")["Targets"][0], "RoleArn", f"{_ROLE}coatcheck-orders-reader"
    ),
    "failed tasks: of another bus": lambda t: assign(
        t.find(BILLING, "AWS::Events::Rule"), "EventBusName", "coatcheck-billing"
    ),
    "state machine: another role": lambda t: assign(
        t.find(ORDERS, "AWS::StepFunctions::StateMachine"), "RoleArn", f"{_ROLE}coatcheck-orders-reader"
    ),
    "task: another execution role": lambda t: assign(
        t.find(BILLING, "AWS::ECS::TaskDefinition"),
        "ExecutionRoleArn",
        t.find(BILLING, "AWS::ECS::TaskDefinition")["TaskRoleArn"],
    ),
    "task: privileged": lambda t: assign(
        t.find(BILLING, "AWS::ECS::TaskDefinition")["ContainerDefinitions"][0], "Privileged", True
    ),
}
MUTANTS = [Mutant(name, breaks) for name, breaks in _CHANGES.items()]


# Generated mutants ---------------------------------------------------------------------------------------------------

_INVERSE = {
    "StringEquals": "StringNotEquals",
    "StringNotEquals": "StringEquals",
    "StringLike": "StringNotLike",
    "ArnEquals": "ArnNotEquals",
}


def generated_mutants(stacks: tuple[StackTemplate, ...]) -> Iterator[Mutant]:
    """Yield mutants of each statement of each policy: each part dropped, inverted or widened."""
    for stack in stacks:
        for logical, resource in stack.template["Resources"].items():
            for path in _statements(resource.get("Properties", {}), ()):
                yield from _mutants_of(stack.name, logical, path, _at(resource["Properties"], path))


def _mutants_of(stack: str, logical: str, path: tuple[Any, ...], statement: Node) -> Iterator[Mutant]:
    place = f"{stack}/{logical} {'.'.join(map(str, path))}"

    def mutant(description: str, change: Callable[[Node], object]) -> Mutant:
        return Mutant(f"{place}: {description}", lambda t: change(_at(t.resources[stack][logical]["Properties"], path)))

    effect = "Deny" if statement["Effect"] == "Allow" else "Allow"
    yield mutant(effect, lambda s: assign(s, "Effect", effect))
    service = _as_list(statement["Action"])[0].partition(":")[0]
    if statement["Effect"] == "Allow":
        if statement["Action"] not in ("*", f"{service}:*"):
            yield mutant("any action of the service", lambda s: assign(s, "Action", f"{service}:*"))
        if "Principal" in statement:
            if statement["Principal"] != "*":
                yield mutant("any principal", lambda s: assign(s, "Principal", "*"))
            yield mutant("another account", lambda s: assign(s, "Principal", {"AWS": OTHER_ROOT}))
        elif statement["Resource"] != "*":
            yield mutant("any resource", lambda s: assign(s, "Resource", "*"))
    elif "Principal" in statement:
        yield mutant("another account only", lambda s: assign(s, "Principal", {"AWS": OTHER_ROOT}))
    for operator, keys in statement.get("Condition", {}).items():
        for key in keys:
            yield mutant(f"without {key}", lambda s, o=operator, k=key: drop(s, "Condition", o, k))  # type: ignore[misc]
        if operator in _INVERSE:
            yield mutant(
                f"{operator} inverted",
                lambda s, o=operator: rename(s["Condition"], o, _INVERSE[o]),  # type: ignore[misc]
            )
    for action in _as_list(statement["Action"]) if len(_as_list(statement["Action"])) > 1 else ():
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
