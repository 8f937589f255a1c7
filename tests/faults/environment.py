"""The services that the functions of a publisher and its subscribers use: created in an emulator, without stacks."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import consume.settings
import consume_queue.settings
import consume_topic.settings
import copy_payload.settings
import publish.settings
from claim_check import Replica, Store
from local.accounts import Accounts
from local.emulator import Emulator
from local.sns_signer import SnsSigner
from tests.faults.arrivals import ArrivalSource, CopyArrivals, ExecutionArrivals, ReceiptArrivals, TaskArrivals
from tests.faults.message import THRESHOLD, CampaignMessage
from tests.local.support import Account, document

ACCOUNT, REGION, REPLICA_REGION = "555555555555", "us-east-1", "us-west-2"

STANDARD = ("orders", "copy", "billing", "partner")
"""Subscribers of the standard topic. `orders` has a queue, a state machine and a replica. `copy` is the next step of
that state machine. `billing` has a subscribed function and tasks, `partner` a web server."""
FIFO = ("ledger",)
"""Subscriber of the FIFO topic, with a queue and a state machine."""
SUBSCRIBERS = STANDARD + FIFO
QUEUES = ("orders", "ledger")
"""Subscribers with a queue."""

MAXIMUM_RECEIVES = 5


def subscribers_of(message: CampaignMessage) -> tuple[str, ...]:
    """Return the subscribers that must receive the message."""
    return FIFO if message.group else STANDARD


class Environment:
    """Topics, queues, buckets, a replica, state machines, a cluster and a table.

    `variables` returns the environment variables of a function. All clients of this class use the emulator directly.
    The web server stores payloads below `folder`.
    """

    def __init__(self, emulator: Emulator, folder: Path) -> None:
        self._emulator = emulator
        self._account = Account(Accounts(emulator), ACCOUNT, REGION)
        self.s3, self.sqs, self._sns = self.client("s3"), self.client("sqs"), self.client("sns")
        self.states, self.ecs = self.client("stepfunctions"), self.client("ecs")

        self.payloads = self._bucket("payloads")
        self.replica = self._bucket("replica", REPLICA_REGION)
        self._replicate()
        self._store = Store(self.payloads, "payloads/", ACCOUNT, REGION)
        self._replicated_store = replace(self._store, replicas=(Replica(self.replica, REPLICA_REGION),))
        self._staging = {
            name: Store(self._bucket(f"staging-{name}"), "inline/", ACCOUNT, REGION)
            for name in ("orders", "billing", "ledger")
        }
        self._landing = Store(self._bucket("landing"), "landed/", ACCOUNT, REGION)
        self._received = folder / "received"
        self._received.mkdir()
        self.signer = SnsSigner(emulator.sns_key)

        # The queue of a subscriber, or a queue that stands for SNS's deliveries to a function or a web server.
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
        self.copies = CopyArrivals("copy")
        self._cluster = self.ecs.create_cluster(clusterName="billing")["cluster"]["clusterArn"]
        self._task_definition = self.ecs.register_task_definition(
            family="billing", containerDefinitions=[{"name": "payload", "image": "payload", "memory": 128}]
        )["taskDefinition"]["taskDefinitionArn"]
        self.client("dynamodb").create_table(
            TableName="idempotency",
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )
        tasks = TaskArrivals("billing", ecs=self.ecs, cluster=self._cluster)
        receipts = ReceiptArrivals("partner", self._received)
        self.sources: list[ArrivalSource] = [*self.executions.values(), self.copies, tasks, receipts]

    def client(self, service: str) -> Any:
        """Return a client of the emulator."""
        return self._account.client(service)

    def stored(self, bucket: str, key: str) -> bytes | None:
        """Return the payload in a bucket, or in the web server's folder. None if it does not exist."""
        if bucket == str(self._received):
            file = self._received / key
            return file.read_bytes() if file.exists() else None
        try:
            body: bytes = self.s3.get_object(Bucket=bucket, Key=key)["Body"].read()
        except self.s3.exceptions.NoSuchKey:
            return None
        return body

    def variables(self, function: str, *, endpoint: str, log: Path) -> dict[str, str]:
        """Return the environment variables of a function's process, which uses AWS at `endpoint`."""
        return {
            "AWS_ENDPOINT_URL": endpoint,
            "AWS_CA_BUNDLE": str(self._emulator.ca_bundle),
            "AWS_ACCESS_KEY_ID": ACCOUNT,
            "AWS_SECRET_ACCESS_KEY": self._emulator.secret,
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
        match function:
            case "application":
                return {**self._publish_settings().to_environment(), "FIFO_TOPIC_ARN": self.fifo_topic}
            case "publish":
                return self._publish_settings().to_environment()
            case "orders":
                return self._queue_settings(function, self._replicated_store)
            case "ledger":
                return self._queue_settings(function, self._store)
            case "copy":
                return copy_payload.settings.Settings(
                    trusted_stores=(self._replicated_store, self._staging["orders"]), landing_store=self._landing
                ).to_environment()
            case "billing":
                application = consume.settings.EcsTaskSettings(
                    staging_store=self._staging["billing"],
                    cluster_arn=self._cluster,
                    task_definition_arn=self._task_definition,
                    container="payload",
                    network={"subnets": ["subnet-1"], "securityGroups": ["sg-1"]},
                    idempotency_table="idempotency",
                    idempotency_seconds=86_400,
                )
                settings = consume_topic.settings.Settings(
                    trusted_stores=(self._store,), dead_letter_queue_url=self.dead_letters[function]
                )
                return settings.to_environment() | application.to_environment()
            case _:
                return {
                    "TOPIC_ARN": self.topic,
                    "TRUSTED_STORES": json.dumps([self._store.to_dict()]),
                    "RECEIVED": str(self._received),
                    "SNS_CERTIFICATE": str(self._emulator.sns_certificate),
                }

    def _publish_settings(self) -> publish.settings.Settings:
        return publish.settings.Settings(
            topic_arn=self.topic,
            payload_store=self._store,
            outbox_prefix="outbox/",
            senders={},
            sender_bus="",
            deployment="coatcheck",
            dead_letter_queue_url=self.dead_letters["publish"],
            threshold_bytes=THRESHOLD,
            offload="over-threshold",
            maximum_upload_bytes=2**31,
            outbox_attributes=(),
        )

    def _queue_settings(self, name: str, store: Store) -> dict[str, str]:
        settings = consume_queue.settings.Settings(
            trusted_stores=(store,), dead_letter_queue_url=self.dead_letters[name], maximum_receives=MAXIMUM_RECEIVES
        )
        application = consume.settings.StateMachineSettings(
            staging_store=self._staging[name], state_machine_arn=self.executions[name].state_machine
        )
        return settings.to_environment() | application.to_environment()

    def _bucket(self, name: str, region: str = REGION) -> str:
        """Create a bucket. Its name is in requests, whose faults depend on their content and the seed alone."""
        account = Account(self._account.accounts, ACCOUNT, region)
        return account.bucket(name=f"{name}-{ACCOUNT}")

    def _replicate(self) -> None:
        """Replicate all payloads into the other Region."""
        role = self._account.role_arn(self._account.role({"Action": "s3:*", "Resource": "*"}))
        rule = {
            "ID": "payloads",
            "Priority": 1,
            "Status": "Enabled",
            "Filter": {"Prefix": "payloads/"},
            "DeleteMarkerReplication": {"Status": "Disabled"},
            "Destination": {"Bucket": f"arn:aws:s3:::{self.replica}"},
        }
        self.s3.put_bucket_replication(Bucket=self.payloads, ReplicationConfiguration={"Role": role, "Rules": [rule]})

    def _state_machine(self, name: str) -> ExecutionArrivals:
        arn = self.states.create_state_machine(
            name=name,
            roleArn=self._account.role_arn(self._account.role()),
            definition=json.dumps({"StartAt": "Done", "States": {"Done": {"Type": "Succeed"}}}),
        )["stateMachineArn"]
        return ExecutionArrivals(name, states=self.states, state_machine=arn)

    def _queue(self, name: str) -> str:
        fifo = {"FifoQueue": "true"} if name.endswith(".fifo") else {}
        url: str = self.sqs.create_queue(QueueName=name, Attributes={"VisibilityTimeout": "60", **fifo})["QueueUrl"]
        return url

    def _subscribe(self, name: str, topic: str, *, raw: bool) -> None:
        queue = self._arn(self.deliveries[name])
        send = {"Principal": {"Service": "sns.amazonaws.com"}, "Action": "sqs:SendMessage", "Resource": queue}
        policy = document({**send, "Condition": {"ArnEquals": {"aws:SourceArn": topic}}})
        self.sqs.set_queue_attributes(QueueUrl=self.deliveries[name], Attributes={"Policy": policy})
        self._sns.subscribe(
            TopicArn=topic, Protocol="sqs", Endpoint=queue, Attributes={"RawMessageDelivery": str(raw).lower()}
        )

    def _arn(self, queue_url: str) -> str:
        attributes = self.sqs.get_queue_attributes(QueueUrl=queue_url, AttributeNames=["QueueArn"])["Attributes"]
        arn: str = attributes["QueueArn"]
        return arn

    def _redrive(self, name: str) -> None:
        policy = {"deadLetterTargetArn": self._arn(self.dead_letters[name]), "maxReceiveCount": MAXIMUM_RECEIVES}
        self.sqs.set_queue_attributes(QueueUrl=self.deliveries[name], Attributes={"RedrivePolicy": json.dumps(policy)})
