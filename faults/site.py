"""A publisher and two subscribers in an emulator, as far as their functions go: what these call, and are called by."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from faults.message import THRESHOLD
from local.accounts import Accounts
from local.emulator import Emulator

ACCOUNT, REGION = "111111111111", "us-east-1"
SUBSCRIBERS = ("orders", "billing")
"""The first has a queue and a state machine, the second a function subscribed directly and tasks."""

MAXIMUM_RECEIVES = 5


class Site:
    """Made empty; `environment` is what a function of it is told. All clients here reach the emulator directly."""

    def __init__(self, emulator: Emulator) -> None:
        self._emulator = emulator
        self._accounts = Accounts(emulator)
        self.s3, self.sqs, self.sns = self.client("s3"), self.client("sqs"), self.client("sns")
        self.states, self.ecs = self.client("stepfunctions"), self.client("ecs")

        self.payloads = self._bucket("payloads")
        self.inboxes = {name: self._bucket(f"inbox-{name}") for name in SUBSCRIBERS}
        # What a subscriber is delivered: its queue; and a queue in the place of SNS's own for the function.
        self.deliveries = {name: self._queue(name) for name in SUBSCRIBERS}
        self.dead_letters = {name: self._queue(f"{name}-dead-letters") for name in ("publish", *SUBSCRIBERS)}
        self._redrive("orders")

        self.topic = self.sns.create_topic(Name="messages")["TopicArn"]
        for name, raw in (("orders", "true"), ("billing", "false")):
            self._let_sns_send(self.deliveries[name])
            self.sns.subscribe(
                TopicArn=self.topic,
                Protocol="sqs",
                Endpoint=self._arn(self.deliveries[name]),
                Attributes={"RawMessageDelivery": raw},
            )
        trust = {"Effect": "Allow", "Principal": {"Service": "states.amazonaws.com"}, "Action": "sts:AssumeRole"}
        role = self.client("iam").create_role(
            RoleName="orders", AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [trust]})
        )["Role"]["Arn"]
        self.state_machine = self.states.create_state_machine(
            name="orders",
            roleArn=role,
            definition=json.dumps({"StartAt": "Done", "States": {"Done": {"Type": "Succeed"}}}),
        )["stateMachineArn"]
        self.cluster = self.ecs.create_cluster(clusterName="billing")["cluster"]["clusterArn"]
        self.task_definition = self.ecs.register_task_definition(
            family="billing", containerDefinitions=[{"name": "payload", "image": "payload", "memory": 128}]
        )["taskDefinition"]["taskDefinitionArn"]
        self.client("dynamodb").create_table(
            TableName="handed-on",
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )

    def client(self, service: str) -> Any:
        return self._accounts.client(service, account=ACCOUNT, region=REGION)

    def s3_of(self, _bucket: str) -> Any:
        """A client that reads the bucket."""
        return self.s3

    def environment(self, function: str, *, endpoint: str, log: Path) -> dict[str, str]:
        """Of the process of a function, which reaches AWS at `endpoint`."""
        return {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": os.pathsep.join(str(folder) for folder in (_REPOSITORY, _REPOSITORY / "lambdas")),
            "AWS_ENDPOINT_URL": endpoint,
            "AWS_CA_BUNDLE": str(self._emulator.ca_bundle),
            "AWS_ACCESS_KEY_ID": ACCOUNT,
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "POWERTOOLS_SERVICE_NAME": function,
            "POWERTOOLS_METRICS_NAMESPACE": "coatcheck",
            "FAULTS_LOG": str(log),
            **self._settings(function),
        }

    def _settings(self, function: str) -> dict[str, str]:
        store = {"bucket": self.payloads, "prefix": "payloads/", "owner": ACCOUNT, "region": REGION}
        publishing = {"TOPIC_ARN": self.topic, "STORE": json.dumps(store), "THRESHOLD_BYTES": str(THRESHOLD)}
        trusted = {"TRUSTED_STORES": json.dumps([store])}
        inbox = {
            name: {"INBOX": json.dumps(store | {"bucket": bucket, "prefix": "inline/"})}
            for name, bucket in self.inboxes.items()
        }
        return {
            "application": publishing,
            "publish": {**publishing, "OFFLOAD": "over-threshold", "OUTBOX_PREFIX": "outbox/", "SENDERS": "{}"},
            "orders": {
                **trusted,
                **inbox["orders"],
                "STATE_MACHINE_ARN": self.state_machine,
                "DEAD_LETTER_QUEUE_URL": self.dead_letters["orders"],
                "MAXIMUM_RECEIVES": str(MAXIMUM_RECEIVES),
            },
            "billing": {
                **trusted,
                **inbox["billing"],
                "CLUSTER_ARN": self.cluster,
                "TASK_DEFINITION_ARN": self.task_definition,
                "CONTAINER": "payload",
                "NETWORK": json.dumps({"subnets": ["subnet-1"], "securityGroups": ["sg-1"]}),
                "HANDED_ON_TABLE": "handed-on",
                "REMEMBERED_SECONDS": "86400",
            },
        }[function]

    def _bucket(self, name: str) -> str:
        name = f"{name}-{ACCOUNT}"
        self.s3.create_bucket(Bucket=name)
        self.s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
        return name

    def _queue(self, name: str) -> str:
        url: str = self.sqs.create_queue(QueueName=name, Attributes={"VisibilityTimeout": "60"})["QueueUrl"]
        return url

    def _arn(self, queue_url: str) -> str:
        arn: str = self.sqs.get_queue_attributes(QueueUrl=queue_url, AttributeNames=["QueueArn"])["Attributes"][
            "QueueArn"
        ]
        return arn

    def _let_sns_send(self, queue_url: str) -> None:
        statement = {
            "Effect": "Allow",
            "Principal": {"Service": "sns.amazonaws.com"},
            "Action": "sqs:SendMessage",
            "Resource": self._arn(queue_url),
            "Condition": {"ArnEquals": {"aws:SourceArn": self.topic}},
        }
        policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        self.sqs.set_queue_attributes(QueueUrl=queue_url, Attributes={"Policy": policy})

    def _redrive(self, name: str) -> None:
        policy = {"deadLetterTargetArn": self._arn(self.dead_letters[name]), "maxReceiveCount": MAXIMUM_RECEIVES}
        self.sqs.set_queue_attributes(QueueUrl=self.deliveries[name], Attributes={"RedrivePolicy": json.dumps(policy)})


_REPOSITORY = Path(__file__).resolve().parents[1]
