"""The README's commands, on emulated accounts: each stack with the credentials of its own account, and too early."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import boto3
import pytest

from claim_check import Publisher, Store
from local.cdk import synth
from tests.local.support import eventually

ROOT = Path(__file__).parents[2]
PUBLISHER, ORDERS, BILLING = "111111111111", "222222222222", "333333333333"

pytestmark = pytest.mark.system


@pytest.fixture(scope="module")
def variables() -> Iterator[dict[str, str]]:
    """What `make local` prints to paste."""
    local = subprocess.Popen([sys.executable, "-m", "local"], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert local.stdout
    printed = ""
    for line in local.stdout:
        printed += line
        if line.startswith("What they do not enforce"):
            break
    try:
        yield dict(re.findall(r"^export (\w+)=(\S+)$", printed, flags=re.MULTILINE))
    finally:
        local.send_signal(signal.SIGINT)
        assert local.wait(timeout=20) == 0
        local.stdout.close()


@pytest.fixture(scope="module")
def cdk(variables: dict[str, str]) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs the CDK CLI in the project's folder as an account."""

    def run(account: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        node = [str(Path(sys.executable).parent), str(ROOT / "node_modules" / ".bin"), os.environ["PATH"]]
        environment = os.environ | variables | {"AWS_ACCESS_KEY_ID": account, "PATH": os.pathsep.join(node)}
        environment |= {
            "CDK_DISABLE_CLI_TELEMETRY": "true",
            "CDK_DISABLE_VERSION_CHECK": "true",
            "CDK_VALIDATION": "false",
        }
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
def assembly(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str], Path]:
    """Synthesizes a deployment file once, by its name here and its text; the CLI would do so at each command."""
    made: dict[str, Path] = {}

    def assembly(name: str, text: str) -> Path:
        if name not in made:
            folder = tmp_path_factory.mktemp(name)
            (folder / "deployment.toml").write_text(text)
            made[name] = synth(folder / "assembly", deployment=folder / "deployment.toml")
        return made[name]

    return assembly


def deploy(cdk: Cdk, account: str, stack: str, app: Path) -> subprocess.CompletedProcess[str]:
    # Without a change set the CLI does not wait five seconds at a time for what has happened already.
    return cdk(account, "deploy", stack, "--app", str(app), "--method", "direct", "--require-approval", "never")


EXAMPLE = (ROOT / "deployments" / "example.toml").read_text()


def test_a_deployment_one_account_at_a_time(cdk: Cdk, assembly: Callable[[str, str], Path]) -> None:
    """One story, in the order in which it happens to people."""
    example = assembly("example", EXAMPLE)
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

    # A publisher that was deployed before anybody thought of `orders`.
    without_orders = re.sub(r'\[\[subscribers\]\]\nname = "orders".*?(?=\[\[)', "", EXAMPLE, flags=re.DOTALL)
    published = deploy(cdk, PUBLISHER, "coatcheck-publisher", assembly("older", without_orders))
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
    assert "coatcheck-orders-redrive" in unknown.stdout


def test_dead_letters_go_back_with_one_command(variables: dict[str, str]) -> None:
    """A payload that somebody replaced, in the deployment above: two dead letters; mended; handed on once."""

    def client(service: str, account: str, region: str = "us-east-1") -> Any:
        return boto3.client(  # type: ignore[call-overload]
            service,
            endpoint_url=variables["AWS_ENDPOINT_URL"],
            verify=variables["AWS_CA_BUNDLE"],
            aws_access_key_id=account,
            aws_secret_access_key=variables["AWS_SECRET_ACCESS_KEY"],
            region_name=region,
        )

    def redrive(account: str, subscriber: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "cli", "redrive", "--subscriber", subscriber, "--yes"],
            cwd=ROOT,
            env=os.environ | variables | {"AWS_ACCESS_KEY_ID": account},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )

    s3, sns = client("s3", PUBLISHER), client("sns", PUBLISHER)
    bucket, key = f"coatcheck-payloads-{PUBLISHER}-us-east-1", "payloads/spoilt"

    class AnotherPayloadIsThere:
        def publish(self, **request: Any) -> Any:
            s3.put_object(Bucket=bucket, Key=key, Body=b"y" * 300_000)
            return sns.publish(**request)

    store = Store(bucket=bucket, prefix="payloads/", owner=PUBLISHER, region="us-east-1")
    topic = f"arn:aws:sns:us-east-1:{PUBLISHER}:coatcheck-messages"
    spoiling: Any = AnotherPayloadIsThere()
    Publisher(topic_arn=topic, store=store, s3=s3, sns=spoiling).publish(b"x" * 300_000, message_id="spoilt")
    letters = {}
    for account, name, region in ((ORDERS, "orders", "us-west-2"), (BILLING, "billing", "us-east-1")):
        sqs = client("sqs", account, region)
        url = sqs.get_queue_url(QueueName=f"coatcheck-{name}-dead-letters")["QueueUrl"]
        take = partial(sqs.receive_message, QueueUrl=url, VisibilityTimeout=0, MessageAttributeNames=["All"])
        (letters[name],) = eventually(lambda take=take: take().get("Messages"), 60)  # type: ignore[misc]
    assert letters["orders"]["MessageAttributes"]["DeadLetterReason"]["StringValue"].startswith("PayloadCorrupt: ")

    spoilt = s3.head_object(Bucket=bucket, Key=key)["VersionId"]
    s3.delete_object(Bucket=bucket, Key=key, VersionId=spoilt)

    refused = redrive(PUBLISHER, "orders")
    assert refused.returncode == 1
    assert f"is in account {ORDERS}, and these credentials are of account {PUBLISHER}" in refused.stdout
    # Somebody was interrupted between sending the letter and deleting it.
    sqs = client("sqs", ORDERS, "us-west-2")
    sqs.send_message(
        QueueUrl=sqs.get_queue_url(QueueName="coatcheck-orders")["QueueUrl"],
        MessageBody=letters["orders"]["Body"],
        MessageAttributes=letters["orders"]["MessageAttributes"],
    )
    for account, name in ((ORDERS, "orders"), (BILLING, "billing")):
        sent = redrive(account, name)
        assert sent.returncode == 0, sent.stdout
        assert "1 sent to the" in sent.stdout
        assert f"coatcheck-{name}-dead-letters" in redrive(account, name).stdout

    states, ecs = client("stepfunctions", ORDERS, "us-west-2"), client("ecs", BILLING)
    machine = f"arn:aws:states:us-west-2:{ORDERS}:stateMachine:coatcheck-orders"
    in_queue = partial(
        sqs.get_queue_attributes,
        QueueUrl=sqs.get_queue_url(QueueName="coatcheck-orders")["QueueUrl"],
        AttributeNames=["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"],
    )
    eventually(lambda: set(in_queue()["Attributes"].values()) == {"0"}, 60)
    executions = states.list_executions(stateMachineArn=machine)["executions"]
    assert [each["name"] for each in executions] == ["spoilt"]
    assert len(eventually(lambda: ecs.list_tasks(cluster="coatcheck-billing")["taskArns"], 60)) == 1


def test_a_deployment_is_removed_with_its_data(
    cdk: Cdk, variables: dict[str, str], assembly: Callable[[str, str], Path]
) -> None:
    """README's clean-up, of what the test before has deployed."""
    ephemeral = assembly("ephemeral", "ephemeral = true\n" + EXAMPLE)
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
        others = ["coatcheck-orders-redrive"] if account == ORDERS else []
        destroyed = cdk(account, "destroy", stack, *others, "--app", str(ephemeral), "--force")
        assert destroyed.returncode == 0, destroyed.stdout
    with pytest.raises(s3.exceptions.ClientError, match="Not Found"):
        s3.head_bucket(Bucket=bucket)


def test_a_deployment_file_that_is_wrong_is_said_so_in_full(cdk: Cdk, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.toml"
    wrong.write_text(EXAMPLE.replace("111111111111", "1111"))
    refused = cdk(PUBLISHER, "synth", "--quiet", "-c", f"deployment={wrong}")
    assert refused.returncode != 0
    assert "publisher.account = '1111': must be the 12 digits of an AWS account id" in refused.stdout
    assert "Traceback" not in refused.stdout
