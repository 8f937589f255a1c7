"""The README's commands, on emulated accounts: each stack with the credentials of its own account, and too early."""

import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import boto3
import pytest

from claim_check import Entry, Publisher, Store
from stacks.deployment import parse_messaging
from tests.local.support import eventually, interruptible
from tests.templates import assembly

ROOT = Path(__file__).parents[2]
COATCHECK = Path(sys.executable).with_name("coatcheck")
PUBLISHER, ORDERS, BILLING = "111111111111", "222222222222", "333333333333"

pytestmark = pytest.mark.system


@pytest.fixture(scope="module")
def variables() -> Iterator[dict[str, str]]:
    """What `make local` prints to paste."""
    local = subprocess.Popen(
        [COATCHECK, "local"], cwd=ROOT, stdout=subprocess.PIPE, text=True, preexec_fn=interruptible
    )
    assert local.stdout
    printed = ""
    for line in local.stdout:
        printed += line
        if "limitations of the emulator" in line:
            break
    try:
        yield dict(re.findall(r"^export (\w+)=(\S+)$", printed, flags=re.MULTILINE))
    finally:
        local.send_signal(signal.SIGINT)
        assert local.wait(timeout=60) == 0
        local.stdout.close()


@pytest.fixture(scope="module")
def cdk(variables: dict[str, str]) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs the CDK CLI in the project's folder as an account."""

    def run(account: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        node = [str(Path(sys.executable).parent), str(ROOT / "node_modules" / ".bin"), os.environ["PATH"]]
        environment = os.environ | variables | {"AWS_ACCESS_KEY_ID": account, "PATH": os.pathsep.join(node)}
        environment |= {"CDK_DISABLE_CLI_TELEMETRY": "true", "CDK_DISABLE_VERSION_CHECK": "true"}
        return subprocess.run(
            ["npx", "cdk", *arguments],
            cwd=ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )

    return run


Cdk = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def synth(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Synthesizes a deployment file's text, once for all commands; the CLI would do so at each."""
    return lambda text: assembly(parse_messaging(tomllib.loads(text)), tmp_path_factory.mktemp("assembly"))


def deploy(cdk: Cdk, account: str, stack: str, app: Path) -> subprocess.CompletedProcess[str]:
    # Without a change set the CLI does not wait five seconds at a time for what has happened already.
    return cdk(account, "deploy", stack, "--app", str(app), "--method", "direct", "--require-approval", "never")


_ORDERS_REGION = 'region = "us-west-2"\n'
EXAMPLE = (
    (ROOT / "deployments" / "example.toml")
    .read_text()
    .replace(_ORDERS_REGION, f"{_ORDERS_REGION}\n[subscribers.landing]\n")
)
LANDING = f"coatcheck-orders-landing-{ORDERS}-us-west-2"


def test_a_deployment_one_account_at_a_time(cdk: Cdk, synth: Callable[[str], Path]) -> None:
    """One story, in the order in which it happens to people."""
    example = synth(EXAMPLE)
    for account, *regions in (
        (PUBLISHER, "us-east-1"),
        (ORDERS, "us-west-2", "us-east-1"),
        (BILLING, "us-east-1"),
    ):
        bootstrapped = cdk(account, "bootstrap", *(f"aws://{account}/{region}" for region in regions))
        assert bootstrapped.returncode == 0, bootstrapped.stdout

    too_early = deploy(cdk, BILLING, "coatcheck-billing", example)
    assert too_early.returncode != 0
    assert "Topic does not exist" in too_early.stdout, too_early.stdout
    # Its image was built by then. All of it is gone again.
    assert "DELETE_FAILED" not in too_early.stdout, too_early.stdout

    # A publisher that was deployed before anybody thought of `orders`.
    without_orders = re.sub(r'\[\[subscribers\]\]\nname = "orders".*?(?=\[\[)', "", EXAMPLE, flags=re.DOTALL)
    published = deploy(cdk, PUBLISHER, "coatcheck-publisher", synth(without_orders))
    assert published.returncode == 0, published.stdout
    unknown = deploy(cdk, ORDERS, "coatcheck-orders", example)
    assert unknown.returncode != 0
    assert re.search(r"not authorized to perform: SNS:Subscribe", unknown.stdout, flags=re.IGNORECASE), unknown.stdout

    # Once the publisher knows it, what failed before can be deployed again: nothing of it is in the way.
    published = deploy(cdk, PUBLISHER, "coatcheck-publisher", example)
    assert published.returncode == 0, published.stdout
    for account, stack in ((ORDERS, "coatcheck-orders"), (BILLING, "coatcheck-billing")):
        deployed = deploy(cdk, account, stack, example)
        assert deployed.returncode == 0, deployed.stdout
    # The subscriber in another Region has brought its redrive stack along.
    assert "coatcheck-orders-undelivered" in unknown.stdout


@pytest.fixture
def client(variables: dict[str, str]) -> Callable[..., Any]:
    """A client of an account: service, account and Region."""

    def client(service: str, account: str, region: str = "us-east-1") -> Any:
        return boto3.client(  # type: ignore[call-overload]
            service,
            endpoint_url=variables["AWS_ENDPOINT_URL"],
            verify=variables["AWS_CA_BUNDLE"],
            aws_access_key_id=account,
            aws_secret_access_key=variables["AWS_SECRET_ACCESS_KEY"],
            region_name=region,
        )

    return client


class SpoilingSns:
    """SNS, and somebody who replaces a payload before it tells of it."""

    def __init__(self, sns: Any, spoil: Callable[[], object]) -> None:
        self._sns, self._spoil = sns, spoil

    def publish_batch(self, **request: Any) -> Any:
        self._spoil()
        return self._sns.publish_batch(**request)


def told_on_the_bus(client: Callable[..., Any]) -> Callable[[], dict[str, Any]]:
    """From now on: what the subscriber's own bus is told of payloads that were processed, by message id."""
    sqs, events = client("sqs", ORDERS, "us-west-2"), client("events", ORDERS, "us-west-2")
    arn = f"arn:aws:sqs:us-west-2:{ORDERS}:told"
    may_send = {
        "Effect": "Allow",
        "Principal": {"Service": "events.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": arn,
        "Condition": {"ArnLike": {"aws:SourceArn": f"arn:aws:events:us-west-2:{ORDERS}:rule/coatcheck-orders/told"}},
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [may_send]})
    url = sqs.create_queue(QueueName="told", Attributes={"Policy": policy})["QueueUrl"]
    pattern = json.dumps({"detail-type": ["Payload processed"]})
    events.put_rule(Name="told", EventBusName="coatcheck-orders", EventPattern=pattern)
    events.put_targets(Rule="told", EventBusName="coatcheck-orders", Targets=[{"Id": "told", "Arn": arn}])
    heard: list[dict[str, Any]] = []

    def told() -> dict[str, Any]:
        messages = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", [])
        heard.extend(json.loads(message["Body"])["detail"] for message in messages)
        assert len({detail["message_id"] for detail in heard}) == len(heard), "told twice of one message"
        return {detail["message_id"]: detail for detail in heard}

    return told


def test_poison_is_dead_lettered_alone_and_handed_on_once_when_it_is_mended(
    variables: dict[str, str], client: Callable[..., Any]
) -> None:
    """In the deployment above: a payload that somebody replaced, in one batch with two that are good."""

    def redrive(account: str, subscriber: str, *more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [COATCHECK, "redrive", "--subscriber", subscriber, "--yes", *more],
            cwd=ROOT,
            env=os.environ | variables | {"AWS_ACCESS_KEY_ID": account},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )

    s3, sqs = client("s3", PUBLISHER), client("sqs", ORDERS, "us-west-2")
    states, ecs = client("stepfunctions", ORDERS, "us-west-2"), client("ecs", BILLING)
    bucket, key = f"coatcheck-payloads-{PUBLISHER}-us-east-1", "payloads/spoilt"
    queue = sqs.get_queue_url(QueueName="coatcheck-orders")["QueueUrl"]
    machine = f"arn:aws:states:us-west-2:{ORDERS}:stateMachine:coatcheck-orders"
    payloads = {"before": b"small", "spoilt": b"x" * 300_000, "after": b"z" * 300_000}
    told = told_on_the_bus(client)

    def waiting() -> int:
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        return sum(map(int, sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=names)["Attributes"].values()))

    def executions() -> list[str]:
        return sorted(each["name"] for each in states.list_executions(stateMachineArn=machine)["executions"])

    # The queue is not polled until all of them are in it.
    lambda_ = client("lambda", ORDERS, "us-west-2")
    (polling,) = lambda_.list_event_source_mappings(FunctionName="coatcheck-orders-consume")["EventSourceMappings"]
    lambda_.update_event_source_mapping(UUID=polling["UUID"], Enabled=False)
    sns: Any = SpoilingSns(client("sns", PUBLISHER), lambda: s3.put_object(Bucket=bucket, Key=key, Body=b"y" * 300_000))
    published = Publisher(
        topic_arn=f"arn:aws:sns:us-east-1:{PUBLISHER}:coatcheck-messages",
        store=Store(bucket=bucket, prefix="payloads/", owner=PUBLISHER, region="us-east-1"),
        s3=s3,
        sns=sns,
    ).publish_batch([Entry(payload=payload, message_id=name) for name, payload in payloads.items()])
    assert [outcome.error for outcome in published] == [None] * 3
    eventually(lambda: waiting() == 3, 60)
    lambda_.update_event_source_mapping(UUID=polling["UUID"], Enabled=True)

    letters = {}
    for account, name, region in ((ORDERS, "orders", "us-west-2"), (BILLING, "billing", "us-east-1")):
        dead = client("sqs", account, region)
        url = dead.get_queue_url(QueueName=f"coatcheck-{name}-dead-letters")["QueueUrl"]
        take = partial(dead.receive_message, QueueUrl=url, VisibilityTimeout=0, MessageAttributeNames=["All"])
        (letters[name],) = eventually(lambda take=take: take(MaxNumberOfMessages=10).get("Messages"), 60)  # type: ignore[misc]
    assert key in letters["orders"]["Body"]
    assert letters["orders"]["MessageAttributes"]["DeadLetterReason"]["StringValue"].startswith("PayloadCorrupt: ")
    eventually(lambda: len(told()) == 2, 60)
    assert executions() == ["after", "before"]

    def batches() -> dict[str, str]:
        group = "/aws/lambda/coatcheck-orders-consume"  # what a function logged is there a moment after it ended
        events = client("logs", ORDERS, "us-west-2").filter_log_events(logGroupName=group)["events"]
        lines = [json.loads(event["message"]) for event in events if '"message_id"' in event["message"]]
        return {line["message_id"]: line["function_request_id"] for line in lines}

    eventually(lambda: set(batches()) == set(payloads), 60)
    assert len(set(batches().values())) == 1, "they were not in one batch"
    assert len(eventually(lambda: ecs.list_tasks(cluster="coatcheck-billing")["taskArns"], 60)) == 2
    eventually(lambda: waiting() == 0, 60)

    spoilt = s3.head_object(Bucket=bucket, Key=key)["VersionId"]
    s3.delete_object(Bucket=bucket, Key=key, VersionId=spoilt)

    refused = redrive(PUBLISHER, "orders")
    assert refused.returncode == 1
    assert f"is in account {ORDERS}, but the credentials are of account {PUBLISHER}" in refused.stdout
    # Somebody was interrupted between sending the letter and deleting it.
    sqs.send_message(
        QueueUrl=queue,
        MessageBody=letters["orders"]["Body"],
        MessageAttributes=letters["orders"]["MessageAttributes"],
    )
    for account, name in ((ORDERS, "orders"), (BILLING, "billing")):
        left = redrive(account, name)
        assert left.returncode == 0, left.stdout
        assert "not sent: find out who replaced the payload" in left.stdout
        sent = redrive(account, name, "--reason", "PayloadCorrupt")
        assert sent.returncode == 0, sent.stdout
        assert "1 sent to the" in sent.stdout
        assert f"coatcheck-{name}-dead-letters" in redrive(account, name).stdout

    eventually(lambda: waiting() == 0, 60)
    assert executions() == ["after", "before", "spoilt"]
    eventually(lambda: len(ecs.list_tasks(cluster="coatcheck-billing")["taskArns"]) == 3, 60)

    # Each of them was landed, those that came inside their message and those that were offloaded, and told of once.
    eventually(lambda: len(told()) == 3, 60)
    landing = client("s3", ORDERS, "us-west-2")
    for name, payload in payloads.items():
        detail = told()[name]
        landed = detail["landed"]
        assert (landed["bucket"], landed["key"]) == (LANDING, f"landed/{name}")
        assert (landed["bytes"], landed["sha256"]) == (len(payload), hashlib.sha256(payload).hexdigest())
        assert detail["summary"]["sha256"] == landed["sha256"]
        assert landing.get_object(Bucket=LANDING, Key=landed["key"])["Body"].read() == payload


@pytest.mark.exhaustive
def test_a_deployment_is_removed_with_its_data(
    cdk: Cdk, variables: dict[str, str], synth: Callable[[str], Path]
) -> None:
    """README's clean-up, of what the test before has deployed."""
    ephemeral = synth("ephemeral = true\n" + EXAMPLE)
    protected = cdk(PUBLISHER, "destroy", "coatcheck-publisher", "--app", str(ephemeral), "--force")
    assert "TerminationProtection" in protected.stdout
    s3 = boto3.client(
        "s3",
        endpoint_url=variables["AWS_ENDPOINT_URL"],
        verify=variables["AWS_CA_BUNDLE"],
        aws_access_key_id=PUBLISHER,
        aws_secret_access_key=variables["AWS_SECRET_ACCESS_KEY"],
        region_name="us-east-1",
    )
    bucket = "coatcheck-payloads-111111111111-us-east-1"
    s3.put_object(Bucket=bucket, Key="payloads/left-over", Body=b"payload")

    stacks = [(BILLING, "coatcheck-billing"), (ORDERS, "coatcheck-orders"), (PUBLISHER, "coatcheck-publisher")]
    for account, stack in stacks:
        deployed = deploy(cdk, account, stack, ephemeral)
        assert deployed.returncode == 0, deployed.stdout
    for account, stack in stacks:
        others = ["coatcheck-orders-undelivered"] if account == ORDERS else []
        destroyed = cdk(account, "destroy", stack, *others, "--app", str(ephemeral), "--force")
        assert destroyed.returncode == 0, destroyed.stdout
    with pytest.raises(s3.exceptions.ClientError, match="Not Found"):
        s3.head_bucket(Bucket=bucket)


def test_a_deployment_file_that_is_wrong_is_said_so_in_full(cdk: Cdk, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.toml"
    wrong.write_text(EXAMPLE.replace("111111111111", "1111"))
    refused = cdk(PUBLISHER, "synth", "--quiet", "-c", f"deployment={wrong}")
    assert refused.returncode != 0
    assert 'publisher.account = "1111": must be the 12 digits of an AWS account id' in refused.stdout
    assert "Traceback" not in refused.stdout
