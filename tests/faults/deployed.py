"""The same in the local world: stacks deployed by CDK, functions run by the emulator as their roles, in processes that
are killed at any moment. Everything between the doors and the applications is the emulator's doing, at its pace."""

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
from claim_check import Publisher
from cli.scenario.routes import sending_role
from local.world import World
from publish.upload import upload_id
from stacks.deployment import Deployment, Names, Place, load_messaging
from stacks.deployment.names import OUTBOX
from tests.faults.arrivals import Arrivals
from tests.faults.campaign import Handed, Outcome, Result, unaccounted
from tests.faults.dead_letters import DeadLetter
from tests.faults.executions import Executions
from tests.faults.faults import FAULTS
from tests.faults.message import DOORS, Message, messages
from tests.faults.proxy import Proxy
from tests.faults.run import Lot
from tests.faults.tasks import Tasks

DEPLOYMENT = Path(__file__).parents[2] / "deployments" / "example.toml"
_SUBSCRIBERS = ("orders", "billing")
_KILL_EVERY_SECONDS = 15.0
_POLL_SECONDS = 1.0
_QUIET_SECONDS = 5.0  # longer than the emulator waits before Lambda's last attempt
_ROUNDS = 5
_VISIBILITY_SECONDS = 10  # that of the deployment is minutes


def run(*, count: int, rate: float, seed: int, progress: Callable[[Outcome], None]) -> Result:
    """Send `count` messages through the public doors of deployments/example.toml while requests of its functions
    fail; then end the faults and send dead letters back."""
    deployment = load_messaging(DEPLOYMENT)
    with TemporaryDirectory(prefix="coatcheck-") as folder, Proxy(seed=seed) as proxy:
        built = assembly.write(DEPLOYMENT, Path(folder))
        publisher = deployment.publisher.account
        with World.start(built, publisher=publisher, progress=lambda _account, _line: None) as world:
            proxy.start(world.emulator)
            site = _Site(world, deployment)
            site.reach_aws_through(proxy.endpoint)
            threshold = deployment.publisher.maximum_message_bytes
            mixture = list(messages("deployed", count, seed, threshold=threshold, routes=DOORS))
            lot = Lot(name="deployed, all at once", messages=mixture, faults=FAULTS, rate=rate)
            proxy.inject(lot.faults, rate)
            with _Killer(world.emulator.pid, seed) as killer:
                sent = dict(map(site.send, lot.messages))
                letters = _until_accounted(site, sent, seconds=120 + 3 * count)
            injected = {**proxy.injected(), "killed": killer.killed}
            proxy.inject((), 0)
            missing = _missing(site, sent, letters)
            left = _redriven(site, sent, letters)
            outcome = Outcome(
                lot=lot,
                sent=sent,
                expected=_expected(sent),
                injected=injected,
                refused=0,
                dead_letters=letters,
                unaccounted=missing,
                premature=set(),
                left=left,
                missed=0,
            )
            progress(outcome)
            arrivals = site.arrivals.all()
            return Result(
                outcomes=[outcome],
                arrivals=arrivals,
                digests=site.arrivals.stored_digests(arrivals),
                outbox=site.outbox(),
            )


class _Site:
    """What a sender, and who looks after a deployment, does; directly, not through the proxy."""

    def __init__(self, world: World, deployment: Deployment) -> None:
        self._accounts, self._names = world.accounts, Names(deployment)
        self._threshold = deployment.publisher.maximum_message_bytes
        publisher = self._names.publisher
        (self._orders,) = (names for names in self._names.subscribers.values() if names.kind == "sqs")
        (self._billing,) = (names for names in self._names.subscribers.values() if names.kind == "lambda")
        orders, billing = self._orders, self._billing
        executions = Executions(
            "orders",
            states=self._client("stepfunctions", orders.place),
            state_machine=orders.state_machine.arn,
        )
        tasks = Tasks("billing", ecs=self._client("ecs", billing.place), cluster=billing.cluster.name)
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

    def reach_aws_through(self, endpoint: str) -> None:
        """Have every function call AWS at another endpoint."""
        for owner, name in self._functions.values():
            functions = self._client("lambda", owner)
            variables = functions.get_function_configuration(FunctionName=name)["Environment"]["Variables"]
            functions.update_function_configuration(
                FunctionName=name, Environment={"Variables": {**variables, "AWS_ENDPOINT_URL": endpoint}}
            )

    def send(self, message: Message) -> tuple[str, Message]:
        """By the message's route; answers with the id that it gets, too."""
        if message.route == "event":
            return self._put_event(message), message
        if message.route == "outbox":
            return self._upload(message), message
        self._publisher().publish(message.payload, message_id=message.id)
        return message.id, message

    def _put_event(self, message: Message) -> str:
        account, role, _ = sending_role(self._names)
        region = self._names.publisher.place.region
        (entry,) = self._accounts.client("events", account=account, region=region, role=role).put_events(
            Entries=[
                {
                    "EventBusName": self._names.publisher.event_bus.arn,
                    "Source": "campaign",
                    "DetailType": "Sent",
                    "Detail": message.payload.decode(),
                }
            ]
        )["Entries"]
        id_: str = entry["EventId"]
        return id_

    def _upload(self, message: Message) -> str:
        publisher = self._names.publisher
        account, role, folder = sending_role(self._names)
        s3 = self._accounts.client("s3", account=account, region=publisher.place.region, role=role)
        key = f"{folder}{message.id}"
        bucket, owner = publisher.payload_bucket.bucket.name, publisher.place.account
        put = s3.put_object(Bucket=bucket, Key=key, Body=message.payload, ExpectedBucketOwner=owner)
        return upload_id(key, put["VersionId"])

    def _publisher(self) -> Publisher:
        publisher = self._names.publisher
        who = {"account": publisher.place.account, "region": publisher.place.region, "role": publisher.role.name}
        return Publisher(
            topic_arn=publisher.topic.arn,
            store=publisher.store,
            threshold=self._threshold,
            sns=self._accounts.client("sns", **who),
            s3=self._accounts.client("s3", **who),
        )

    def take_dead_letters(self) -> Iterator[DeadLetter]:
        """All that is in the dead-letter queues; it is taken out of them."""
        for place, (owner, name) in self._dead_letters.items():
            sqs, url = self._client("sqs", owner), self._queue_url(owner, name)
            while received := sqs.receive_message(
                QueueUrl=url, MaxNumberOfMessages=10, MessageAttributeNames=["All"]
            ).get("Messages"):
                for message in received:
                    yield DeadLetter.of(place, message)
                    sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])

    def redrive(self, letters: Iterable[DeadLetter]) -> None:
        """Send each back where it failed."""
        orders = self._queue_url(self._orders.place, self._orders.queue.name)
        for letter in letters:
            owner, name = self._functions[letter.place]
            if letter.place == "orders":
                self._client("sqs", owner).send_message(QueueUrl=orders, **letter.to_message())
            else:
                event = json.dumps(letter.event)
                self._client("lambda", owner).invoke(FunctionName=name, InvocationType="Event", Payload=event)

    def outbox(self) -> list[str]:
        """The keys that are in it."""
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
        """A client that reads the bucket: its owner's root."""
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
    """Ends a process of a function every 15 seconds, as by a machine that fails. A context manager."""

    def __init__(self, emulator: int, seed: int) -> None:
        self._emulator, self._dice = emulator, random.Random(seed)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.killed = 0

    def _run(self) -> None:
        while not self._stop.wait(_KILL_EVERY_SECONDS):
            running = _children(self._emulator)
            if running:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(self._dice.choice(running), signal.SIGKILL)
                    self.killed += 1

    def __enter__(self) -> _Killer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()


def _children(parent: int) -> list[int]:
    """The processes that run functions' Python, of those that the emulator has started."""
    listed = subprocess.run(["ps", "-axo", "pid=,ppid=,args="], capture_output=True, text=True, check=True).stdout
    rows = [line.split(None, 2) for line in listed.splitlines()]
    return [int(pid) for pid, of, command in rows if int(of) == parent and "_worker.py" in command]


def _until_accounted(site: _Site, sent: Mapping[str, Message], *, seconds: float) -> list[DeadLetter]:
    """Wait until every message is handed on to every subscriber, or a dead letter; answers with those."""
    letters: list[DeadLetter] = []
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        letters += site.take_dead_letters()
        if not _missing(site, sent, letters):
            break
        time.sleep(_POLL_SECONDS)
    return letters


def _redriven(site: _Site, sent: Mapping[str, Message], letters: Sequence[DeadLetter]) -> int:
    """Send dead letters back until there are none; answers with how many remain. Some come late: of what was handed on,
    and whose function was ended before it could say so."""
    for _ in range(_ROUNDS):
        site.redrive(letters)
        letters = _until_accounted(site, sent, seconds=60 + len(sent))
        time.sleep(_QUIET_SECONDS)
        letters += site.take_dead_letters()
        if not letters:
            break
    return len(letters)


def _expected(sent: Iterable[str]) -> set[Handed]:
    return {(subscriber, id_) for id_ in sent for subscriber in _SUBSCRIBERS}


def _missing(site: _Site, sent: Iterable[str], letters: Iterable[DeadLetter]) -> set[Handed]:
    handed = {(arrival.subscriber, arrival.message_id) for arrival in site.arrivals.all()}
    return unaccounted(_expected(sent), handed, letters)
