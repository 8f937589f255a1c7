"""The example deployment in emulated accounts: the demo, then dead letters and their redrive in the same accounts."""

import hashlib
import json
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import boto3
import pytest

from claim_check import Entry, Publisher
from cli.main import main
from local import accounts
from local.accounts import credentials
from stacks.deployment import Place
from tests.local.support import Account, document, eventually
from tests.system.support import PAYLOAD_BYTES, Demo, coatcheck
from tests.templates import ROOT

MEMORY_MB = 160

pytestmark = pytest.mark.system


@pytest.fixture
def report(demo: Demo) -> dict[str, Any]:
    assert demo.exit_code == 0
    return demo.report


def test_every_route_reaches_every_subscriber_intact(demo: Demo, report: dict[str, Any]) -> None:
    sha256 = hashlib.sha256(demo.payload.read_bytes()).hexdigest()
    event, library, outbox = report["payloads"]
    assert event["route"].startswith("PutEvents")
    for payload in (library, outbox):
        assert (payload["bytes"], payload["sha256"]) == (PAYLOAD_BYTES, sha256)
    for payload in report["payloads"]:
        orders, billing = payload["subscribers"]
        assert (orders["account"], orders["region"]) == ("222222222222", "us-west-2")
        assert (billing["account"], billing["region"]) == ("333333333333", "us-east-1")
        assert orders["sha256"] == billing["sha256"] == payload["sha256"]
        assert orders["bytes"] == billing["bytes"] == payload["bytes"]
        execution, task = orders["application"], billing["application"]
        assert (execution["kind"], execution["status"]) == ("Step Functions execution", "SUCCEEDED")
        assert execution["arn"].endswith(payload["message_id"])
        assert (task["kind"], task["status"]) == ("ECS task", "exit code 0")
        assert orders["digest_by"] == "the state machine, of the landed copy"
        assert billing["digest_by"] == "the ECS task, which read the payload"


def test_every_attempt_is_denied(report: dict[str, Any]) -> None:
    attempts = report["attempts"]
    assert len(attempts) == 20
    assert all(attempt["denied"] for attempt in attempts)
    pointers = [attempt for attempt in attempts if "pointer" in attempt["attempt"]]
    assert all(attempt["response"].startswith("UntrustedStore: ") for attempt in pointers)
    assert len(pointers) == 2


def test_sender_hears_why_an_upload_is_refused(report: dict[str, Any]) -> None:
    (upload,) = (each for each in report["attempts"] if "maximum_bytes" in each["attempt"])
    assert upload["response"].startswith("PayloadTooLarge: the upload stays in the outbox: it has 16777217 bytes")


def test_memory_of_functions_is_measured(report: dict[str, Any]) -> None:
    peaks = {function["function"]: function["peak_memory_mb"] for function in report["functions"]}
    assert set(peaks) == {"coatcheck-publish", "coatcheck-orders-consume", "coatcheck-billing-consume"}
    # Python and boto3 alone need about 40 MB: with less, something else was measured.
    assert all(30 < peak < MEMORY_MB for peak in peaks.values()), peaks


def test_report_lists_limitations_of_the_emulator(report: dict[str, Any]) -> None:
    assert "ECS tasks" in {limit["name"] for limit in report["not_enforced"]}


# Verification --------------------------------------------------------------------------------------------------------

PROFILES = {
    "publisher": "111111111111",
    "orders": "222222222222",
    "billing": "333333333333",
    "shop": "444444444444",
}
OTHER = {"other": "888888888888"}


@pytest.fixture(scope="module")
def profiles(demo: Demo) -> str:
    """An AWS configuration file. In the deployment's accounts, profiles assume the role of the example's workflow."""
    emulator, template = demo.world.emulator, ROOT / "deployments" / "github" / "role.yml"
    given = {"Repository": "owner/name", "Environment": "any", "VerifyEnvironment": "verify", "MakeProvider": "no"}
    roots = {f"{name}-root": account for name, account in PROFILES.items()}
    lines = [accounts.profiles(emulator, roots | OTHER)]
    for name, account in PROFILES.items():
        here = demo.account(Place(account, "us-east-1"))
        cloudformation, iam = here.client("cloudformation"), here.client("iam")
        cloudformation.create_stack(
            StackName="coatcheck-github",
            TemplateBody=template.read_text(),
            Capabilities=["CAPABILITY_NAMED_IAM"],
            Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in given.items()],
        )
        cloudformation.get_waiter("stack_create_complete").wait(StackName="coatcheck-github", WaiterConfig={"Delay": 1})
        # In place of GitHub's tokens, which no emulated provider issues.
        trust = {"Action": "sts:AssumeRole", "Principal": {"AWS": account}}
        iam.update_assume_role_policy(RoleName="coatcheck-verify", PolicyDocument=document(trust))
        # The emulator checks DescribeTasks at the cluster, not at the task.
        cluster = {"Action": "ecs:DescribeTasks", "Resource": "arn:aws:ecs:*:*:cluster/coatcheck-*"}
        iam.put_role_policy(RoleName="coatcheck-verify", PolicyName="emulator", PolicyDocument=document(cluster))
        role = f"role_arn = arn:aws:iam::{account}:role/coatcheck-verify"
        lines.append(f"[profile {name}]\n{role}\nsource_profile = {name}-root\n")
    return "".join(lines)


class Verification:
    """`coatcheck verify` as a user runs it: a process with profiles of these accounts."""

    def __init__(self, demo: Demo, config: str, folder: Path, *profiles: str, answer: str = "y\n") -> None:
        self.file = folder / "report.json"
        (folder / "config").write_text(config)
        options = [option for profile in profiles for option in ("--profile", profile)]
        file = ("--deployment", demo.file, "--report", self.file)
        done = coatcheck(demo.world.emulator, folder / "config", "verify", *file, *options, stdin=answer)
        self.exit_code, self.output = done.returncode, done.stdout + done.stderr

    @property
    def report(self) -> dict[str, Any]:
        report: dict[str, Any] = json.loads(self.file.read_text())
        return report


@pytest.fixture(scope="module")
def verification(demo: Demo, profiles: str, tmp_path_factory: pytest.TempPathFactory) -> Verification:
    return Verification(demo, profiles, tmp_path_factory.mktemp("verification"), *PROFILES, *OTHER)


@pytest.mark.exhaustive
def test_verify_shows_every_promise_with_all_profiles(verification: Verification) -> None:
    assert verification.exit_code == 0, verification.output
    assert "It costs about 1 cent at list prices" in verification.output
    promises = verification.report["promises"]
    assert {name for name, kept in promises.items() if kept is None} == {"endpoint"}
    assert all(kept is not False for kept in promises.values())
    assert len(verification.report["attempts"]) == 19  # without the upload that is too large
    assert (verification.report["unseen"], verification.report["not_deleted"]) == ([], [])
    page = verification.file.with_suffix(".md").read_text()
    assert "| `outbox` | kept |" in page
    assert not re.search(r"\d{12}", page)


@pytest.mark.exhaustive
def test_verify_deletes_its_payloads(demo: Demo, verification: Verification) -> None:
    sent = {payload["message_id"] for payload in verification.report["payloads"]}
    orders, billing = demo.names.subscribers["orders"], demo.names.subscribers["billing"]
    publisher = demo.names.publisher
    places = [
        (publisher.place, publisher.payload_bucket.bucket.name),
        (orders.place, orders.staging_bucket.name),
        (orders.place, orders.landing_bucket.name),
        (billing.place, billing.staging_bucket.name),
    ]
    for place, bucket in places:
        versions = demo.account(place).client("s3").list_object_versions(Bucket=bucket)
        keys = {each["Key"] for kind in ("Versions", "DeleteMarkers") for each in versions.get(kind, ())}
        assert not {key for key in keys if key.rpartition("/")[2] in sent}, bucket


@pytest.mark.exhaustive
def test_verify_with_one_account_names_the_unseen_parts(demo: Demo, profiles: str, tmp_path: Path) -> None:
    publisher = Verification(demo, profiles, tmp_path, "publisher")
    assert publisher.exit_code == 0, publisher.output
    assert {each["subject"] for each in publisher.report["unseen"]} == {"shop", "orders", "billing", "other accounts"}
    assert [payload["route"] for payload in publisher.report["payloads"]] == [
        "PutEvents from 111111111111",
        "the library",
        "upload from 111111111111",
    ]
    # Orders and billing may still read them.
    assert len(publisher.report["not_deleted"]) == 2
    orders = Verification(demo, profiles, tmp_path, "orders")
    assert orders.exit_code == 0, orders.output
    assert "no credentials of an account that sends" in orders.output
    assert orders.report["payloads"] == []
    assert {each["attempt"] for each in orders.report["attempts"]} >= {"subscribe an unknown endpoint"}


@pytest.mark.exhaustive
@pytest.mark.parametrize(
    ("names", "answer", "code", "message"),
    [
        (["orders"], "n\n", 1, "Nothing was sent."),
        (["other"], "y\n", 2, "not of an account of the deployment"),
        (["unknown"], "y\n", 2, "--profile unknown: The config profile (unknown) could not be found"),
        (["publisher", "publisher-root"], "y\n", 2, "are both of account 111111111111"),
    ],
    ids=["answer no", "other account only", "unknown profile", "one account twice"],
)
def test_verify_sends_nothing(
    demo: Demo, profiles: str, tmp_path: Path, names: list[str], answer: str, code: int, message: str
) -> None:
    verification = Verification(demo, profiles, tmp_path, *names, answer=answer)
    assert (verification.exit_code, verification.file.exists()) == (code, False)
    assert message in verification.output


# Dead letters --------------------------------------------------------------------------------------------------------

PAYLOADS = {"before": b"small", "corrupt": b"x" * 300_000, "after": b"z" * 300_000}


class Orders:
    """The subscriber `orders`: its queue, its executions, and a queue for the events on its bus."""

    def __init__(self, demo: Demo) -> None:
        self.names = demo.names.subscribers["orders"]
        self.account = demo.account(self.names.place)
        self.queue: str = self.account.client("sqs").get_queue_url(QueueName=self.names.queue.name)["QueueUrl"]
        self._event_queue = self._queue_of_events()
        self._events: list[dict[str, Any]] = []

    def _queue_of_events(self) -> str:
        events, bus = self.account.client("events"), self.names.event_bus.name
        rule = f"arn:aws:events:{self.account.region}:{self.account.number}:rule/{bus}/test"
        queue = self.account.queue_for("events.amazonaws.com", rule)
        events.put_rule(Name="test", EventBusName=bus, EventPattern=json.dumps({"detail-type": ["Payload processed"]}))
        events.put_targets(Rule="test", EventBusName=bus, Targets=[{"Id": "queue", "Arn": queue}])
        return queue

    def events(self) -> dict[str, dict[str, Any]]:
        """Return the details of all events so far, by message id."""
        messages = self.account.messages(self._event_queue)
        self._events += [json.loads(message["Body"])["detail"] for message in messages]
        by_id = {detail["message_id"]: detail for detail in self._events}
        assert len(by_id) == len(self._events), "two events of one message"
        return by_id

    def messages(self) -> int:
        """Return the number of messages in the queue, those in flight included."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        attributes = self.account.client("sqs").get_queue_attributes(QueueUrl=self.queue, AttributeNames=names)
        return sum(map(int, attributes["Attributes"].values()))

    def executions(self) -> set[str]:
        """Return the message ids of PAYLOADS with an execution."""
        states = self.account.client("stepfunctions")
        executions = states.list_executions(stateMachineArn=self.names.state_machine.arn)["executions"]
        return {execution["name"] for execution in executions} & set(PAYLOADS)

    def invocations(self) -> dict[str, str]:
        """Return the request id of the invocation that received each message of PAYLOADS."""
        group = f"/aws/lambda/{self.names.consume_function.name}"
        events = self.account.client("logs").filter_log_events(logGroupName=group)["events"]
        lines = [json.loads(event["message"]) for event in events if '"message_id"' in event["message"]]
        return {line["message_id"]: line["function_request_id"] for line in lines if line["message_id"] in PAYLOADS}

    def set_polling(self, enabled: bool) -> None:
        lambda_ = self.account.client("lambda")
        (mapping,) = lambda_.list_event_source_mappings(FunctionName=self.names.consume_function.name)[
            "EventSourceMappings"
        ]
        lambda_.update_event_source_mapping(UUID=mapping["UUID"], Enabled=enabled)


class _CorruptingSns:
    """A client of SNS that replaces a payload before its message is published."""

    def __init__(self, sns: Any, corrupt: Callable[[], object]) -> None:
        self._sns, self._corrupt = sns, corrupt

    def publish_batch(self, **request: Any) -> Any:
        self._corrupt()
        return self._sns.publish_batch(**request)


@pytest.fixture
def redrive(
    demo: Demo, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str]]:
    """A function that runs `coatcheck redrive` with an account's credentials. Returns its exit code and output."""

    def run(account: str, subscriber: str, *options: str) -> tuple[int, str]:
        for name, value in credentials(demo.world.emulator, account, "us-east-1").items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)
        monkeypatch.setattr("cli.redrive.sources.WAIT_SECONDS", 0)  # the emulator returns what there is
        with pytest.raises(SystemExit) as exit_:
            main(["redrive", "--deployment", str(demo.file), "--subscriber", subscriber, "--yes", *options])
        assert isinstance(exit_.value.code, int)
        return exit_.value.code, "".join(capsys.readouterr())

    return run


def test_corrupt_payload_is_dead_lettered_and_redriven_once(
    demo: Demo, redrive: Callable[..., tuple[int, str]]
) -> None:
    """One of three messages in a batch has a corrupt payload."""
    names, orders = demo.names.publisher, Orders(demo)
    billing = demo.account(demo.names.subscribers["billing"].place)
    publisher = demo.account(names.place)
    s3, bucket, key = publisher.client("s3"), names.payload_bucket.bucket.name, "payloads/corrupt"
    list_tasks = partial(billing.client("ecs").list_tasks, cluster=demo.names.subscribers["billing"].cluster.name)

    def tasks() -> set[str]:
        return {arn for status in ("RUNNING", "STOPPED") for arn in list_tasks(desiredStatus=status)["taskArns"]}

    tasks_before = len(tasks())

    orders.set_polling(False)  # until all messages are in the queue, so that one batch has them
    sns: Any = _CorruptingSns(
        publisher.client("sns"),
        lambda: s3.put_object(Bucket=bucket, Key=key, Body=b"y" * 300_000, ChecksumAlgorithm="SHA256"),
    )
    published = Publisher(topic_arn=names.topic.arn, store=names.store, s3=s3, sns=sns).publish_batch(
        [Entry(payload=payload, message_id=message_id) for message_id, payload in PAYLOADS.items()]
    )
    assert [outcome.error for outcome in published] == [None] * 3
    eventually(lambda: orders.messages() == 3)
    orders.set_polling(True)

    dead_letter = _dead_letter(orders.account, demo.names.subscribers["orders"].dead_letter_queue.name)
    assert key in dead_letter["Body"]
    assert dead_letter["MessageAttributes"]["DeadLetterReason"]["StringValue"].startswith("PayloadCorrupt: ")
    _dead_letter(billing, demo.names.subscribers["billing"].dead_letter_queue.name)
    eventually(lambda: len(orders.events()) == 2)
    assert orders.executions() == {"before", "after"}
    eventually(lambda: set(orders.invocations()) == set(PAYLOADS))  # logs appear after the invocation
    assert len(set(orders.invocations().values())) == 1, "the messages were not in one batch"
    eventually(lambda: len(tasks()) == tasks_before + 2)
    eventually(lambda: orders.messages() == 0)

    corrupt = s3.head_object(Bucket=bucket, Key=key)["VersionId"]
    s3.delete_object(Bucket=bucket, Key=key, VersionId=corrupt)

    code, output = redrive(names.place.account, "orders")
    assert code == 1
    assert f"is in account {orders.account.number}, but the credentials are of account {names.place.account}" in output
    # A redrive that was interrupted between sending and deleting: the message is in both queues.
    orders.account.client("sqs").send_message(
        QueueUrl=orders.queue, MessageBody=dead_letter["Body"], MessageAttributes=dead_letter["MessageAttributes"]
    )
    for account, name in ((orders.account, "orders"), (billing, "billing")):
        code, output = redrive(account.number, name)
        assert (code, "not sent: find out who replaced the payload" in output) == (0, True), output
        code, output = redrive(account.number, name, "--reason", "PayloadCorrupt")
        assert (code, "1 sent to the" in output) == (0, True), output
        code, output = redrive(account.number, name)
        assert (code, "has no messages" in output) == (0, True), output

    eventually(lambda: orders.messages() == 0)
    assert orders.executions() == set(PAYLOADS)
    eventually(lambda: len(tasks()) == tasks_before + 3)
    eventually(lambda: not list_tasks(desiredStatus="RUNNING")["taskArns"])  # the next test denies tasks to read

    # Inline and offloaded payloads are landed, with one event each.
    eventually(lambda: len(orders.events()) == 3)
    bucket = orders.names.landing_bucket.name
    for message_id, payload in PAYLOADS.items():
        detail = orders.events()[message_id]
        landed = detail["landed"]
        assert (landed["bucket"], landed["key"]) == (bucket, f"landed/{message_id}")
        assert (landed["bytes"], landed["sha256"]) == (len(payload), hashlib.sha256(payload).hexdigest())
        assert detail["summary"]["sha256"] == landed["sha256"]
        content = orders.account.client("s3").get_object(Bucket=bucket, Key=landed["key"])["Body"].read()
        assert content == payload


def _dead_letter(account: Account, queue: str) -> dict[str, Any]:
    """Wait for the one dead letter of a queue, and leave it there."""
    sqs = account.client("sqs")
    url = sqs.get_queue_url(QueueName=queue)["QueueUrl"]
    receive = partial(sqs.receive_message, QueueUrl=url, VisibilityTimeout=0, MessageAttributeNames=["All"])
    (message,) = eventually(lambda: receive(MaxNumberOfMessages=10).get("Messages"))
    dead_letter: dict[str, Any] = message
    return dead_letter


def test_failed_task_is_a_dead_letter(demo: Demo) -> None:
    """The task role loses its permission to read. The task reports it and is a dead letter, as ECS describes it."""
    names, publisher = demo.names.subscribers["billing"], demo.account(demo.names.publisher.place)
    billing, topic = demo.account(names.place), demo.names.publisher
    deny = document({"Effect": "Deny", "Action": "s3:GetObject", "Resource": "*"})
    iam = billing.client("iam")
    iam.put_role_policy(RoleName=names.task_role.name, PolicyName="deny", PolicyDocument=deny)
    try:
        published = Publisher(
            topic_arn=topic.topic.arn, store=topic.store, s3=publisher.client("s3"), sns=publisher.client("sns")
        ).publish(b"w" * 300_000)
        dead_letter = _dead_letter(billing, names.dead_letter_queue.name)
    finally:
        iam.delete_role_policy(RoleName=names.task_role.name, PolicyName="deny")
    task = json.loads(dead_letter["Body"])
    assert (task["lastStatus"], task["stopCode"]) == ("STOPPED", "EssentialContainerExited")
    assert [container["exitCode"] for container in task["containers"]] == [1]
    environment = {
        variable["name"]: variable["value"] for variable in task["overrides"]["containerOverrides"][0]["environment"]
    }
    assert environment["MESSAGE_ID"] == published.message_id
    stream = f"task/application/{task['taskArn'].rsplit('/', 1)[1]}"
    events = billing.client("logs").get_log_events(logGroupName=f"/aws/ecs/{names.cluster.name}", logStreamName=stream)
    assert "PayloadDenied" in events["events"][-1]["message"]
