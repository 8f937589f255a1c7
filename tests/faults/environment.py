"""A publisher and its subscribers in an emulator, as far as their functions go: what these call, and are called by."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from local.accounts import Accounts
from local.emulator import Emulator
from tests.faults.arrivals import Source
from tests.faults.executions import Executions
from tests.faults.landings import Landings
from tests.faults.message import THRESHOLD, Message
from tests.faults.receipts import Receipts
from tests.faults.sns_signer import Notary
from tests.faults.tasks import Tasks

ACCOUNT, REGION, NEAR = "111111111111", "us-east-1", "us-west-2"

STANDARD = ("orders", "landing", "billing", "partner")
"""Who is handed what is published to the standard topic. The first has a queue and a state machine, near a replica;
landing is what that state machine does next. The third has a function subscribed directly and tasks, the fourth a web
server."""
FIFO = ("ledger",)
"""Who is handed what is published to the FIFO topic: it has a queue and a state machine, too."""
SUBSCRIBERS = STANDARD + FIFO
QUEUES = ("orders", "ledger")
"""Those whose functions are handed batches of a queue."""

MAXIMUM_RECEIVES = 5


def subscribers(message: Message) -> tuple[str, ...]:
    """Whom the message is to be handed to."""
    return FIFO if message.group else STANDARD


class Site:
    """Made empty; `environment` is what a function of it is told. All clients here reach the emulator directly. What
    the web server keeps is in a folder of `folder`."""

    def __init__(self, emulator: Emulator, folder: Path) -> None:
        self._emulator = emulator
        self._accounts = Accounts(emulator)
        self.s3, self.sqs, self._sns = self.client("s3"), self.client("sqs"), self.client("sns")
        self.states, self.ecs = self.client("stepfunctions"), self.client("ecs")

        self.payloads = self._bucket("payloads")
        self.inboxes = {name: self._bucket(f"inbox-{name}") for name in ("orders", "billing", "ledger")}
        self._landing = self._bucket("landing")
        self.replica = self._bucket("replica", NEAR)
        self._replicate()
        self._received = folder / "received"
        self._received.mkdir()
        self.notary = Notary(folder, region=REGION)

        # What a subscriber is delivered: its queue; and a queue in the place of SNS's own for function and server.
        self.deliveries = {name: self._queue(name) for name in ("orders", "billing", "partner")}
        self.dead_letters = {name: self._queue(f"{name}-dead-letters") for name in ("publish", *STANDARD)}
        self.deliveries["ledger"] = self._queue("ledger.fifo")
        self.dead_letters["ledger"] = self._queue("ledger-dead-letters.fifo")
        for name in QUEUES:
            self._redrive(name)
        self.topic = self._sns.create_topic(Name="messages")["TopicArn"]
        self.fifo_topic = self._sns.create_topic(Name="messages.fifo", Attributes={"FifoTopic": "true"})["TopicArn"]
        self._subscribe("orders", self.topic, raw=True)
        self._subscribe("billing", self.topic, raw=False)
        self._subscribe("partner", self.topic, raw=False)
        self._subscribe("ledger", self.fifo_topic, raw=True)

        self.executions = {name: self._state_machine(name) for name in QUEUES}
        self.landings = Landings("landing")
        self._cluster = self.ecs.create_cluster(clusterName="billing")["cluster"]["clusterArn"]
        self._task_definition = self.ecs.register_task_definition(
            family="billing", containerDefinitions=[{"name": "payload", "image": "payload", "memory": 128}]
        )["taskDefinition"]["taskDefinitionArn"]
        self.client("dynamodb").create_table(
            TableName="handed-on",
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )
        tasks = Tasks("billing", ecs=self.ecs, cluster=self._cluster)
        receipts = Receipts("partner", self._received)
        self.sources: list[Source] = [*self.executions.values(), self.landings, tasks, receipts]

    def client(self, service: str, region: str = REGION) -> Any:
        return self._accounts.client(service, account=ACCOUNT, region=region)

    def stored(self, bucket: str, key: str) -> bytes | None:
        """What is in a bucket, or in the web server's folder; None when nothing is there."""
        if bucket == str(self._received):
            file = self._received / key
            return file.read_bytes() if file.exists() else None
        try:
            body: bytes = self.s3.get_object(Bucket=bucket, Key=key)["Body"].read()
        except self.s3.exceptions.NoSuchKey:
            return None
        return body

    def environment(self, function: str, *, endpoint: str, log: Path) -> dict[str, str]:
        """Of the process of a function, which reaches AWS at `endpoint`."""
        return {
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
        near = {**store, "replicas": [{"bucket": self.replica, "region": NEAR}]}
        inboxes = {
            name: {"bucket": bucket, "prefix": "inline/", "owner": ACCOUNT, "region": REGION}
            for name, bucket in self.inboxes.items()
        }
        publishing = {"TOPIC_ARN": self.topic, "PAYLOAD_STORE": json.dumps(store), "THRESHOLD_BYTES": str(THRESHOLD)}
        return {
            "application": {**publishing, "FIFO_TOPIC_ARN": self.fifo_topic},
            "publish": {
                **publishing,
                "OFFLOAD": "over-threshold",
                "OUTBOX_PREFIX": "outbox/",
                "SENDERS": "{}",
                "MAXIMUM_UPLOAD_BYTES": str(2**31),
            },
            "orders": _trusting(near) | self._queued("orders") | _inbox(inboxes["orders"]),
            "ledger": _trusting(store) | self._queued("ledger") | _inbox(inboxes["ledger"]),
            "landing": {
                **_trusting(near, inboxes["orders"]),
                "LANDING_STORE": json.dumps(store | {"bucket": self._landing, "prefix": "landed/"}),
            },
            "billing": {
                **_trusting(store),
                **_inbox(inboxes["billing"]),
                "CLUSTER_ARN": self._cluster,
                "TASK_DEFINITION_ARN": self._task_definition,
                "CONTAINER": "payload",
                "NETWORK": json.dumps({"subnets": ["subnet-1"], "securityGroups": ["sg-1"]}),
                "IDEMPOTENCY_TABLE": "handed-on",
                "IDEMPOTENCY_SECONDS": "86400",
            },
            "partner": {
                **_trusting(store),
                "TOPIC_ARN": self.topic,
                "RECEIVED": str(self._received),
                "SNS_CERTIFICATE": str(self.notary.certificate),
            },
        }[function]

    def _queued(self, name: str) -> dict[str, str]:
        return {
            "STATE_MACHINE_ARN": self.executions[name].state_machine,
            "DEAD_LETTER_QUEUE_URL": self.dead_letters[name],
            "MAXIMUM_RECEIVES": str(MAXIMUM_RECEIVES),
        }

    def _bucket(self, name: str, region: str = REGION) -> str:
        name, s3 = f"{name}-{ACCOUNT}", self.client("s3", region)
        where = {} if region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": region}}
        s3.create_bucket(Bucket=name, **where)
        s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
        return name

    def _replicate(self) -> None:
        """Every payload, into the bucket that is near to some of the functions."""
        role = self._role("replication", "s3.amazonaws.com")
        allowed = {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}
        self.client("iam").put_role_policy(
            RoleName="replication",
            PolicyName="replication",
            PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [allowed]}),
        )
        rule = {
            "ID": "payloads",
            "Priority": 1,
            "Status": "Enabled",
            "Filter": {"Prefix": "payloads/"},
            "DeleteMarkerReplication": {"Status": "Disabled"},
            "Destination": {"Bucket": f"arn:aws:s3:::{self.replica}"},
        }
        self.s3.put_bucket_replication(Bucket=self.payloads, ReplicationConfiguration={"Role": role, "Rules": [rule]})

    def _state_machine(self, name: str) -> Executions:
        arn = self.states.create_state_machine(
            name=name,
            roleArn=self._role(name, "states.amazonaws.com"),
            definition=json.dumps({"StartAt": "Done", "States": {"Done": {"Type": "Succeed"}}}),
        )["stateMachineArn"]
        return Executions(name, states=self.states, state_machine=arn)

    def _role(self, name: str, service: str) -> str:
        trust = {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}
        role = self.client("iam").create_role(
            RoleName=name, AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [trust]})
        )
        arn: str = role["Role"]["Arn"]
        return arn

    def _queue(self, name: str) -> str:
        fifo = {"FifoQueue": "true"} if name.endswith(".fifo") else {}
        url: str = self.sqs.create_queue(QueueName=name, Attributes={"VisibilityTimeout": "60", **fifo})["QueueUrl"]
        return url

    def _subscribe(self, name: str, topic: str, *, raw: bool) -> None:
        queue = self._arn(self.deliveries[name])
        statement = {
            "Effect": "Allow",
            "Principal": {"Service": "sns.amazonaws.com"},
            "Action": "sqs:SendMessage",
            "Resource": queue,
            "Condition": {"ArnEquals": {"aws:SourceArn": topic}},
        }
        policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        self.sqs.set_queue_attributes(QueueUrl=self.deliveries[name], Attributes={"Policy": policy})
        self._sns.subscribe(
            TopicArn=topic, Protocol="sqs", Endpoint=queue, Attributes={"RawMessageDelivery": str(raw).lower()}
        )

    def _arn(self, queue_url: str) -> str:
        arn: str = self.sqs.get_queue_attributes(QueueUrl=queue_url, AttributeNames=["QueueArn"])["Attributes"][
            "QueueArn"
        ]
        return arn

    def _redrive(self, name: str) -> None:
        policy = {"deadLetterTargetArn": self._arn(self.dead_letters[name]), "maxReceiveCount": MAXIMUM_RECEIVES}
        self.sqs.set_queue_attributes(QueueUrl=self.deliveries[name], Attributes={"RedrivePolicy": json.dumps(policy)})


def _trusting(*stores: dict[str, Any]) -> dict[str, str]:
    return {"TRUSTED_STORES": json.dumps(stores)}


def _inbox(store: dict[str, str]) -> dict[str, str]:
    return {"STAGING_STORE": json.dumps(store)}
