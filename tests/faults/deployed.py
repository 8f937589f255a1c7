"""The campaign with deployed stacks in the local world.

The emulator runs the functions with their roles, and kills their processes at random. It also invokes, retries and
delivers, with its own delays.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from access import assembly
from claim_check import Publisher, put_event, upload_id
from cli.scenario.routes import sending_role
from local.world import World
from stacks.deployment import Deployment, Names, Place, load_messaging
from stacks.deployment.names import OUTBOX
from tests.faults.arrivals import Arrivals, ExecutionArrivals, TaskArrivals
from tests.faults.campaign import CampaignOutcome, CampaignResult, Delivery, unaccounted
from tests.faults.dead_letters import DeadLetter
from tests.faults.faults import FAULTS
from tests.faults.message import STANDARD_ROUTES, CampaignMessage, messages
from tests.faults.proxy import Proxy
from tests.faults.run import Run

DEPLOYMENT = Path(__file__).parents[2] / "deployments" / "example.toml"
_SUBSCRIBERS = ("orders", "billing")
_KILL_INTERVAL_SECONDS = 15.0
_POLL_SECONDS = 1.0
_QUIET_SECONDS = 5.0  # longer than the emulator's delay before Lambda's last attempt
_REDRIVES = 5
_VISIBILITY_SECONDS = 10  # instead of minutes


def run(*, count: int, rate: float, seed: int, progress: Callable[[CampaignOutcome], None]) -> CampaignResult:
    """Send messages to deployments/example.toml while requests of its functions fail. Then end the faults and redrive.

    count: number of messages. rate: share of the requests that fail. progress: called with the outcome.
    """
    deployment = load_messaging(DEPLOYMENT)
    with TemporaryDirectory(prefix="coatcheck-") as folder, Proxy(seed=seed) as proxy:
        cloud_assembly = assembly.write(DEPLOYMENT, Path(folder))
        publisher = deployment.publisher.account
        with World.start(cloud_assembly, publisher=publisher, progress=lambda _account, _line: None) as world:
            proxy.start(world.emulator)
            stacks = _Stacks(world, deployment)
            stacks.use_endpoint(proxy.endpoint)
            threshold = deployment.publisher.maximum_message_bytes
            mixture = list(messages("deployed", count, seed, threshold=threshold, routes=STANDARD_ROUTES))
            run = Run(name="deployed, all faults", messages=mixture, faults=FAULTS, rate=rate)
            proxy.inject(run.faults, rate)
            with _Killer(world.emulator.pid, seed) as killer:
                sent = dict(map(stacks.send, run.messages))
                dead_letters = _wait_until_accounted(stacks, sent, seconds=120 + 3 * count)
            injected = {**proxy.injected(), "killed": killer.killed}
            proxy.inject((), 0)
            missing = _missing(stacks, sent, dead_letters)
            failed_again = _redrive_all(stacks, sent, dead_letters)
            outcome = CampaignOutcome(
                run=run,
                sent=sent,
                expected=_expected(sent),
                injected=injected,
                rejected=0,
                dead_letters=dead_letters,
                unaccounted=missing,
                premature=set(),
                failed_again=failed_again,
                missed_kills=0,
            )
            progress(outcome)
            arrivals = stacks.arrivals.all()
            return CampaignResult(
                outcomes=[outcome],
                arrivals=arrivals,
                digests=stacks.arrivals.stored_digests(arrivals),
                outbox=stacks.outbox(),
            )


class _Stacks:
    """The deployed stacks: sending, dead letters and arrivals. It uses the emulator directly, without the proxy."""

    def __init__(self, world: World, deployment: Deployment) -> None:
        self._accounts, self._names = world.accounts, Names(deployment)
        self._threshold = deployment.publisher.maximum_message_bytes
        publisher = self._names.publisher
        (self._orders,) = (names for names in self._names.subscribers.values() if names.kind == "sqs")
        (self._billing,) = (names for names in self._names.subscribers.values() if names.kind == "lambda")
        orders, billing = self._orders, self._billing
        executions = ExecutionArrivals(
            "orders", states=self._client("stepfunctions", orders.place), state_machine=orders.state_machine.arn
        )
        tasks = TaskArrivals("billing", ecs=self._client("ecs", billing.place), cluster=billing.cluster.name)
        self.arrivals = Arrivals([executions, tasks], read=self._stored)
        self._functions: dict[str, tuple[Place, str]] = {
            "publish": (publisher.place, publisher.publish_function.name),
            "orders": (orders.place, orders.consume_function.name),
            "billing": (billing.place, billing.consume_function.name),
        }
        self._dead_letters: dict[str, tuple[Place, str]] = {
            "publish": (publisher.place, publisher.dead_letter_queue.name),
            "orders": (orders.place, orders.dead_letter_queue.name),
            "billing": (billing.place, billing.dead_letter_queue.name),
        }
        self._client("sqs", orders.place).set_queue_attributes(
            QueueUrl=self._queue_url(orders.place, orders.queue.name),
            Attributes={"VisibilityTimeout": str(_VISIBILITY_SECONDS)},
        )

    def use_endpoint(self, endpoint: str) -> None:
        """Set the endpoint at which every function uses AWS."""
        for owner, name in self._functions.values():
            functions = self._client("lambda", owner)
            variables = functions.get_function_configuration(FunctionName=name)["Environment"]["Variables"]
            functions.update_function_configuration(
                FunctionName=name, Environment={"Variables": {**variables, "AWS_ENDPOINT_URL": endpoint}}
            )

    def send(self, message: CampaignMessage) -> tuple[str, CampaignMessage]:
        """Send a message by its route, and return it with its message id."""
        if message.route == "event":
            return self._put_event(message), message
        if message.route == "outbox":
            return self._upload(message), message
        self._publisher().publish(message.payload, message_id=message.id)
        return message.id, message

    def _put_event(self, message: CampaignMessage) -> str:
        account, role, *_ = sending_role(self._names)
        publisher, detail = self._names.publisher, message.payload.decode()
        events = self._accounts.client("events", account=account, region=publisher.place.region, role=role)
        bus = publisher.event_bus.arn
        return put_event(bus=bus, source="campaign", detail_type="Sent", detail=detail, events=events)

    def _upload(self, message: CampaignMessage) -> str:
        publisher = self._names.publisher
        account, role, folder, _ = sending_role(self._names)
        s3 = self._accounts.client("s3", account=account, region=publisher.place.region, role=role)
        key = f"{folder}{message.id}"
        bucket, owner = publisher.payload_bucket.bucket.name, publisher.place.account
        put = s3.put_object(Bucket=bucket, Key=key, Body=message.payload, ExpectedBucketOwner=owner)
        return upload_id(key, put["VersionId"])

    def _publisher(self) -> Publisher:
        publisher = self._names.publisher
        identity = {"account": publisher.place.account, "region": publisher.place.region, "role": publisher.role.name}
        return Publisher(
            topic_arn=publisher.topic.arn,
            store=publisher.store,
            threshold=self._threshold,
            sns=self._accounts.client("sns", **identity),
            s3=self._accounts.client("s3", **identity),
        )

    def receive_dead_letters(self) -> Iterator[DeadLetter]:
        """Receive and delete all dead letters."""
        for function, (owner, name) in self._dead_letters.items():
            sqs, url = self._client("sqs", owner), self._queue_url(owner, name)
            while received := sqs.receive_message(
                QueueUrl=url, MaxNumberOfMessages=10, MessageAttributeNames=["All"]
            ).get("Messages"):
                for message in received:
                    yield DeadLetter.parse(function, message)
                    sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])

    def redrive(self, dead_letters: Iterable[DeadLetter]) -> None:
        """Send dead letters back to their queue or function."""
        orders = self._queue_url(self._orders.place, self._orders.queue.name)
        for dead_letter in dead_letters:
            owner, name = self._functions[dead_letter.function]
            if dead_letter.function == "orders":
                self._client("sqs", owner).send_message(QueueUrl=orders, **dead_letter.to_message())
            else:
                event = json.dumps(dead_letter.event)
                self._client("lambda", owner).invoke(FunctionName=name, InvocationType="Event", Payload=event)

    def outbox(self) -> list[str]:
        """Return the keys of the uploads in the outbox."""
        bucket = self._names.publisher.payload_bucket.bucket.name
        listed = self._s3_of(bucket).list_objects_v2(Bucket=bucket, Prefix=OUTBOX)
        return [entry["Key"] for entry in listed.get("Contents", [])]

    def _stored(self, bucket: str, key: str) -> bytes | None:
        s3 = self._s3_of(bucket)
        try:
            body: bytes = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
        except s3.exceptions.NoSuchKey:
            return None
        return body

    def _s3_of(self, bucket: str) -> Any:
        """Return a client as root of the bucket's owner."""
        owners = {
            self._names.publisher.payload_bucket.bucket.name: self._names.publisher.place,
            **{names.staging_bucket.name: names.place for names in (self._orders, self._billing)},
        }
        return self._client("s3", owners[bucket])

    def _client(self, service: str, owner: Place) -> Any:
        return self._accounts.client(service, account=owner.account, region=owner.region)

    def _queue_url(self, owner: Place, name: str) -> str:
        url: str = self._client("sqs", owner).get_queue_url(QueueName=name)["QueueUrl"]
        return url


class _Killer:
    """A thread that kills a function's process every 15 seconds. A context manager."""

    def __init__(self, emulator: int, seed: int) -> None:
        self._emulator, self._random = emulator, random.Random(seed)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.killed = 0

    def _run(self) -> None:
        while not self._stop.wait(_KILL_INTERVAL_SECONDS):
            running = _children(self._emulator)
            if running:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(self._random.choice(running), signal.SIGKILL)
                    self.killed += 1

    def __enter__(self) -> _Killer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()


def _children(parent: int) -> list[int]:
    """Return the emulator's child processes that run Python functions."""
    listed = subprocess.run(["ps", "-axo", "pid=,ppid=,args="], capture_output=True, text=True, check=True).stdout
    rows = [line.split(None, 2) for line in listed.splitlines()]
    return [int(pid) for pid, parent_pid, command in rows if int(parent_pid) == parent and "_worker.py" in command]


def _wait_until_accounted(stacks: _Stacks, sent: Mapping[str, CampaignMessage], *, seconds: float) -> list[DeadLetter]:
    """Wait until every message was handed off to every subscriber or is a dead letter. Return the dead letters."""
    dead_letters: list[DeadLetter] = []
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        dead_letters += stacks.receive_dead_letters()
        if not _missing(stacks, sent, dead_letters):
            break
        time.sleep(_POLL_SECONDS)
    return dead_letters


def _redrive_all(stacks: _Stacks, sent: Mapping[str, CampaignMessage], dead_letters: Sequence[DeadLetter]) -> int:
    """Redrive until there are no dead letters, and return how many are left.

    Some are late, for messages that were handed off: the function was killed before it returned.
    """
    for _ in range(_REDRIVES):
        stacks.redrive(dead_letters)
        dead_letters = _wait_until_accounted(stacks, sent, seconds=60 + len(sent))
        time.sleep(_QUIET_SECONDS)
        dead_letters += stacks.receive_dead_letters()
        if not dead_letters:
            break
    return len(dead_letters)


def _expected(sent: Iterable[str]) -> set[Delivery]:
    return {(subscriber, message_id) for message_id in sent for subscriber in _SUBSCRIBERS}


def _missing(stacks: _Stacks, sent: Iterable[str], dead_letters: Iterable[DeadLetter]) -> set[Delivery]:
    arrived = {(arrival.subscriber, arrival.message_id) for arrival in stacks.arrivals.all()}
    return unaccounted(_expected(sent), arrived, dead_letters)
