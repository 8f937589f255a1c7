"""What a fault is to a client, and what AWS did all the same."""

import functools
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import (
    ClientError,
    ConnectionClosedError,
    EndpointConnectionError,
    HTTPClientError,
    ReadTimeoutError,
    SSLError,
)

from local.emulator import Emulator
from tests.faults.environment import ACCOUNT, REGION, Site
from tests.faults.faults import FAULTS, Effect, Fault
from tests.faults.proxy import Proxy

pytestmark = pytest.mark.system

DROPPED = (ConnectionClosedError, EndpointConnectionError, HTTPClientError, SSLError)
BUCKET = f"payloads-{ACCOUNT}"


@pytest.fixture(scope="module")
def client(proxy: Proxy, emulator: Emulator) -> Any:
    """Gives a client of a service that tries once, through the proxy."""
    config = Config(retries={"total_max_attempts": 1}, read_timeout=0.5, proxies={})

    @functools.cache
    def make(service: Any) -> Any:
        return boto3.client(
            service,
            region_name=REGION,
            endpoint_url=proxy.endpoint,
            verify=str(emulator.ca_bundle),
            aws_access_key_id=ACCOUNT,
            aws_secret_access_key="test",
            config=config,
        )

    return make


@pytest.fixture(autouse=True)
def afterwards(proxy: Proxy, emulator: Emulator) -> Iterator[None]:
    """No fault is left to the next test."""
    yield
    proxy.inject((), 0)


def of(effect: Effect) -> Fault:
    return next(fault for fault in FAULTS if fault.effect is effect)


@pytest.mark.parametrize("fault", [fault for fault in FAULTS if fault.effect is Effect.REFUSED], ids=lambda f: f.name)
def test_a_refusal_is_read_as_the_services_own(fault: Fault, client: Any, proxy: Proxy, site: Site) -> None:
    machine = site.executions["orders"].state_machine
    calls = {
        "s3": lambda: client("s3").put_object(Bucket=BUCKET, Key="refused", Body=b"x"),
        "sns": lambda: client("sns").publish(TopicArn=site.topic, Message="x"),
        "sqs": lambda: client("sqs").send_message(QueueUrl=site.dead_letters["publish"], MessageBody="x"),
        "states": lambda: client("stepfunctions").start_execution(stateMachineArn=machine),
        "ecs": lambda: client("ecs").run_task(cluster="billing", taskDefinition="billing"),
        "dynamodb": lambda: client("dynamodb").get_item(TableName="handed-on", Key={"id": {"S": "x"}}),
    }
    proxy.inject([fault], 1.0)
    (service,) = fault.services
    with pytest.raises(ClientError) as caught:
        calls[service]()
    assert caught.value.response["Error"]["Code"] == fault.code
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == fault.status
    assert proxy.injected() == {fault.name: 1}


@pytest.mark.parametrize(
    ("effect", "error", "done"),
    [
        (Effect.RESET, DROPPED, False),
        (Effect.CUT_REQUEST, DROPPED, False),
        (Effect.SILENCE, (ReadTimeoutError,), False),
        (Effect.LOST_ANSWER, DROPPED, True),
        (Effect.CUT_ANSWER, DROPPED, True),
    ],
)
def test_a_broken_connection_and_what_became_of_the_request(
    effect: Effect, error: tuple[type[Exception], ...], done: bool, client: Any, proxy: Proxy, site: Site
) -> None:
    proxy.inject([of(effect)], 1.0)
    with pytest.raises(error):
        client("s3").put_object(Bucket=BUCKET, Key=effect.name, Body=b"x" * 300_000)
    assert ("Contents" in site.s3.list_objects_v2(Bucket=BUCKET, Prefix=effect.name)) is done


def test_an_answer_breaks_off_in_its_middle(client: Any, proxy: Proxy, site: Site) -> None:
    site.s3.put_object(Bucket=BUCKET, Key="long", Body=b"x" * 300_000)
    proxy.inject([of(Effect.CUT_ANSWER)], 1.0)
    body = client("s3").get_object(Bucket=BUCKET, Key="long")["Body"]
    assert body.read(10_000) == b"x" * 10_000
    with pytest.raises(Exception, match=r"(?i)connection|incomplete|reset"):
        body.read()
