"""Each pair of transport and application, with own code that reads, fails, and refuses a payload for good."""

import json
import re
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from claim_check import Dereferencer, Publisher
from cli.scenario.function_log import log_lines
from cli.scenario.memory import read_bytes
from local import accounts
from local.world import World
from shared.handoff import HandOff
from stacks.deployment import Deployment, Names, SubscriberNames, parse_messaging
from tests.local.support import Account, eventually
from tests.system.support import coatcheck
from tests.templates import ROOT, assembly

OWN_CODE = """
from claim_check import PayloadRejected

def process(message):
    text = message.payload.text()
    if text.startswith("fail"):
        raise ValueError("own code failed")
    if text.startswith("never"):
        raise PayloadRejected("not a text for us", message_id=message.id)
    return {"characters": len(text)}
"""
LARGE = 300_000
SECONDS = 240
"""Time for messages to arrive: cold starts of seven functions share the machine."""
PAYLOADS = {"small": b"x" * 50, "large": b"y" * LARGE}
WITH_CODE = ("texts", "reports", "counts")

pytestmark = pytest.mark.system


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Deployment:
    """The example's subscribers and those of applications.toml, with the code above."""
    folder = tmp_path_factory.mktemp("code")
    (folder / "application.py").write_text(OWN_CODE)
    example, others = (
        tomllib.loads((ROOT / "deployments" / f"{name}.toml").read_text()) for name in ("example", "applications")
    )
    for subscriber in (*example["subscribers"], *others["subscribers"]):
        if "code" in subscriber:
            subscriber["code"]["folder"] = str(folder)
        subscriber.pop("reader_principals", None)  # the account's administrator assumes the role
    del example["subscribers"][1]["code"]
    others["subscribers"] += example["subscribers"]
    others["senders"] = example["senders"]
    return parse_messaging(others, ROOT / "deployments" / "applications.toml")


class Deployed:
    def __init__(self, world: World, deployment: Deployment) -> None:
        self.world, self.names = world, Names(deployment)

    def account(self, name: str) -> Account:
        place = self.names.subscribers[name].place
        return Account(self.world.accounts, place.account, place.region)

    def publish(self, payload: bytes, message_id: str) -> None:
        names = self.names.publisher
        home = Account(self.world.accounts, names.place.account, names.place.region)
        sns, s3 = (home.client(service, role=names.role.name) for service in ("sns", "s3"))
        publisher = Publisher(topic_arn=names.topic.arn, store=names.store, threshold=262_144, sns=sns, s3=s3)
        publisher.publish(payload, message_id=message_id)

    def log(self, name: str) -> list[dict[str, Any]]:
        """Return the log entries of the consume function."""
        group = f"/aws/lambda/{self.names.subscribers[name].consume_function.name}"
        events = self.account(name).client("logs").filter_log_events(logGroupName=group)["events"]
        return [json.loads(event["message"]) for event in events if event["message"].startswith("{")]

    def processed(self, name: str) -> set[str]:
        return {entry["message_id"] for entry in self.log(name) if entry.get("message") == "handed off"}

    def handoffs(self, name: str) -> dict[str, HandOff]:
        """Return what the application got, by message id."""
        own: SubscriberNames = self.names.subscribers[name]
        if own.application == "state_machine":
            states = self.account(name).client("stepfunctions")
            arns = [
                each["executionArn"]
                for each in states.list_executions(stateMachineArn=own.state_machine.arn)["executions"]
            ]
            found = [
                HandOff.from_input(json.loads(states.describe_execution(executionArn=arn)["input"])) for arn in arns
            ]
        else:
            ecs = self.account(name).client("ecs")
            tasks = ecs.list_tasks(cluster=own.cluster.name)["taskArns"]
            described = ecs.describe_tasks(cluster=own.cluster.name, tasks=tasks)["tasks"] if tasks else []
            found = [HandOff.from_task(task) for task in described]
        return {handoff.message_id: handoff for handoff in found}

    def dead_letters(self, name: str) -> dict[str, str]:
        """Return the reasons of the dead letters, by the payload's text."""
        queue = self.names.subscribers[name].dead_letter_queue
        sqs = self.account(name).client("sqs")
        url = sqs.get_queue_url(QueueName=queue.name)["QueueUrl"]
        messages = sqs.receive_message(
            QueueUrl=url, MaxNumberOfMessages=10, VisibilityTimeout=0, MessageAttributeNames=["All"]
        ).get("Messages", [])
        return dict(map(_reason, messages))


def _reason(message: dict[str, Any]) -> tuple[str, str]:
    if reason := message.get("MessageAttributes", {}).get("DeadLetterReason"):
        return message["Body"], reason["StringValue"]
    letter = json.loads(message["Body"])
    error = letter["responsePayload"]
    body: str = letter["requestPayload"]["Records"][0]["Sns"]["Message"]
    return body, f"{error['errorType']}: {error['errorMessage']}"


@pytest.fixture(scope="module")
def deployed(deployment: Deployment, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployed]:
    folder: Path = assembly(deployment, tmp_path_factory.mktemp("applications"))
    with World.start(folder, publisher=deployment.publisher.account, progress=lambda *_: None) as world:
        deployed = Deployed(world, deployment)
        for message_id, payload in PAYLOADS.items():
            deployed.publish(payload, message_id)
        yield deployed


@pytest.fixture(scope="module")
def refused(deployed: Deployed) -> None:
    """Publish the texts that own code refuses, for good or at each attempt. The attempts go on during other tests."""
    # The first start of a function can take longer than the four seconds of an attempt.
    eventually(lambda: deployed.processed("texts") >= PAYLOADS.keys(), SECONDS)
    sqs = deployed.account("texts").client("sqs")
    url = sqs.get_queue_url(QueueName=deployed.names.subscribers["texts"].queue.name)["QueueUrl"]
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"VisibilityTimeout": "4"})
    for text in ("never", "fail"):
        deployed.publish(text.encode(), f"{text}-1")


@pytest.mark.parametrize("name", ["orders", "billing", "scans", "reports"])
def test_application_gets_pointer_and_result(deployed: Deployed, name: str) -> None:
    eventually(lambda: len(deployed.handoffs(name)) == 2, SECONDS)
    handoffs = deployed.handoffs(name)
    assert {message_id: handoff.bytes for message_id, handoff in handoffs.items()} == {"small": 50, "large": LARGE}
    results = {message_id: handoff.result for message_id, handoff in handoffs.items()}
    expected = {"small": {"characters": 50}, "large": {"characters": LARGE}} if name in WITH_CODE else {}
    assert results == {message_id: expected.get(message_id) for message_id in PAYLOADS}


@pytest.mark.parametrize("name", ["texts", "counts"])
def test_own_code_alone_processes_each_message(deployed: Deployed, name: str) -> None:
    assert eventually(lambda: deployed.processed(name) == {"small", "large"}, SECONDS)


@pytest.mark.parametrize("name", ["orders", "billing", "scans", *WITH_CODE])
def test_only_own_code_reads_payloads(deployed: Deployed, name: str) -> None:
    eventually(lambda: deployed.processed(name) >= {"small", "large"}, SECONDS)
    function = deployed.names.subscribers[name].consume_function.name
    texts = log_lines(deployed.account(name).client("logs"), function)
    assert read_bytes(texts) == (LARGE if name in WITH_CODE else 0)


def test_service_polls_its_queue_and_reads_payloads(deployed: Deployed) -> None:
    names = deployed.names.subscribers["service"]
    account = deployed.account("service")
    s3, sqs = (account.client(service, role=names.reader_role.name) for service in ("s3", "sqs"))
    url = sqs.get_queue_url(QueueName=names.queue.name)["QueueUrl"]
    dereferencer = Dereferencer(stores=names.trusted_stores, s3=s3)
    read: dict[str, bytes] = {}

    def poll() -> bool:
        for received in sqs.receive_message(QueueUrl=url, MessageAttributeNames=["All"]).get("Messages", []):
            message = dereferencer.message(received)
            read[message.id] = message.payload.read()
            sqs.delete_message(QueueUrl=url, ReceiptHandle=received["ReceiptHandle"])
        return read == PAYLOADS

    assert eventually(poll, SECONDS)


@pytest.mark.usefixtures("refused")
@pytest.mark.parametrize("name", WITH_CODE)
def test_refused_payload_is_dead_lettered_at_once(deployed: Deployed, name: str) -> None:
    _assert_dead_lettered(deployed, name, "never", "PayloadRejected: not a text for us (message 'never-", attempts=1)


def _assert_dead_lettered(deployed: Deployed, name: str, text: str, reason: str, *, attempts: int) -> None:
    """Assert that the dead letter of a text has the reason, and that the log has each attempt."""
    letters: Callable[[], dict[str, str]] = lambda: deployed.dead_letters(name)  # noqa: E731
    assert eventually(lambda: letters().get(text), SECONDS).startswith(reason)  # type: ignore[union-attr]

    def logged() -> int:
        return sum(entry.get("message_id") == f"{text}-1" and entry["level"] == "ERROR" for entry in deployed.log(name))

    eventually(lambda: logged() >= attempts, 60)  # the last attempt's log appears after its dead letter
    assert logged() == attempts


@pytest.mark.exhaustive
def test_files_are_exchanged_with_profiles(deployed: Deployed, tmp_path: Path) -> None:
    """`coatcheck send`, `receive` and `inspect`, as users of three accounts run them."""
    file, config, scan, received = (tmp_path / name for name in ("prod.toml", "config", "scan.tiff", "received"))
    text = (ROOT / "deployments" / "applications.toml").read_text().replace('"../', f'"{ROOT}/')
    shop = '[[senders]]\nname = "shop"\naccount = "444444444444"\n'
    file.write_text(re.sub("reader_principals.*", "", text) + shop)
    profiles = {"publisher": "1" * 12, "service": "2" * 12, "reports": "3" * 12, "shop": "4" * 12}
    config.write_text(accounts.profiles(deployed.world.emulator, profiles))
    scan.write_bytes(b"\x00never" * 100_000)

    def run(command: str, *options: str | Path, stdin: str = "") -> list[Any]:
        arguments = (command, "--deployment", file, "--json", *options)
        done = coatcheck(deployed.world.emulator, config, *arguments, stdin=stdin)
        assert done.returncode == 0, done.stderr
        return list(json.loads(done.stdout) if command == "inspect" else map(json.loads, done.stdout.splitlines()))

    (by_library,) = run("send", scan, "--profile", "publisher", "--attribute", "kind=scan")
    (by_outbox,) = run("send", "-", "--profile", "shop", stdin="never from a sender")
    wanted = {each["message_id"]: each["sha256"] for each in (by_library, by_outbox)}
    found: dict[str, Any] = {}

    def arrived() -> bool:
        found.update(
            {each["message_id"]: each for each in run("receive", "--profile", "service", "--output", received)}
        )
        return wanted.keys() <= found.keys()

    eventually(lambda: run("receive", "--profile", "service", "--output", received, "--keep", "--limit", "1"), SECONDS)
    eventually(arrived, SECONDS)
    assert {name: found[name]["sha256"] for name in wanted} == wanted
    assert (received / by_library["message_id"]).read_bytes() == scan.read_bytes()
    assert found[by_library["message_id"]]["attributes"] == {"file": "scan.tiff", "kind": "scan"}

    def dead() -> dict[str, Any]:
        queues = run("inspect", "--profile", "service", "--profile", "reports")  # without the publisher's
        return {
            letter["message_id"]: letter
            for queue in queues
            for letter in queue["dead_letters"]
            if queue["queue"] == "coatcheck-texts-dead-letters"
        }

    letter = eventually(lambda: dead().get(by_outbox["message_id"]), SECONDS)
    assert letter is not None
    assert letter["reason"].startswith("PayloadRejected: not a text for us")
    assert (letter["sender"], letter["upload"]) == (
        "shop, account 444444444444",
        by_outbox["key"].removeprefix("outbox/"),
    )
    config_options = ("--profile", "service", "--delete", letter["id"], "--yes")
    done = coatcheck(deployed.world.emulator, config, "inspect", "--deployment", file, *config_options)
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "Deleted from coatcheck-texts-dead-letters.")
    assert by_outbox["message_id"] not in dead()


@pytest.mark.exhaustive
@pytest.mark.usefixtures("refused")
@pytest.mark.parametrize("name", WITH_CODE)
def test_failed_payload_is_retried_then_dead_lettered(deployed: Deployed, name: str) -> None:
    attempts = {"sqs": 5, "lambda": 3}[deployed.names.subscribers[name].kind]
    _assert_dead_lettered(deployed, name, "fail", "ValueError: own code failed", attempts=attempts)
