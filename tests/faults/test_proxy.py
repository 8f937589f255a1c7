"""Injected faults as a client sees them, and their effect in AWS."""

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
from tests.faults.environment import ACCOUNT, REGION, Environment
from tests.faults.faults import FAULTS, Effect, Fault
from tests.faults.proxy import Proxy

pytestmark = pytest.mark.system

DROPPED = (ConnectionClosedError, EndpointConnectionError, HTTPClientError, SSLError)


@pytest.fixture(scope="module")
def client(proxy: Proxy, emulator: Emulator) -> Any:
    """A function that returns a client of a service, which uses the proxy and does not retry."""
    config = Config(retries={"total_max_attempts": 1}, read_timeout=0.5, proxies={})

    @functools.cache
    def make(service: Any) -> Any:
        return boto3.client(
            service,
            region_name=REGION,
            endpoint_url=proxy.endpoint,
            verify=str(emulator.ca_bundle),
            aws_access_key_id=ACCOUNT,
            aws_secret_access_key=emulator.secret,
            config=config,
        )

    return make


@pytest.fixture(autouse=True)
def without_faults_afterwards(proxy: Proxy) -> Iterator[None]:
    yield
    proxy.inject((), 0)


def _fault(effect: Effect) -> Fault:
    return next(fault for fault in FAULTS if fault.effect is effect)


@pytest.mark.parametrize("fault", [fault for fault in FAULTS if fault.effect is Effect.REJECTED], ids=lambda f: f.name)
def test_rejection_has_the_services_format(fault: Fault, client: Any, proxy: Proxy, environment: Environment) -> None:
    machine, queue = environment.executions["orders"].state_machine, environment.dead_letters["publish"]
    calls = {
        "s3": lambda: client("s3").put_object(Bucket=environment.payloads, Key="rejected", Body=b"x"),
        "sns": lambda: client("sns").publish(TopicArn=environment.topic, Message="x"),
        "sqs": lambda: client("sqs").send_message(QueueUrl=queue, MessageBody="x"),
        "states": lambda: client("stepfunctions").start_execution(stateMachineArn=machine),
        "ecs": lambda: client("ecs").run_task(cluster="billing", taskDefinition="billing"),
        "dynamodb": lambda: client("dynamodb").get_item(TableName="idempotency", Key={"id": {"S": "x"}}),
    }
    proxy.inject([fault], 1.0)
    (service,) = fault.services
    with pytest.raises(ClientError) as rejection:
        calls[service]()
    assert rejection.value.response["Error"]["Code"] == fault.code
    assert rejection.value.response["ResponseMetadata"]["HTTPStatusCode"] == fault.status
    assert proxy.injected() == {fault.name: 1}


@pytest.mark.parametrize(
    ("effect", "error", "done"),
    [
        (Effect.RESET, DROPPED, False),
        (Effect.CUT_REQUEST, DROPPED, False),
        (Effect.SILENCE, (ReadTimeoutError,), False),
        (Effect.LOST_RESPONSE, DROPPED, True),
        (Effect.CUT_RESPONSE, DROPPED, True),
    ],
    ids=lambda value: value.name if isinstance(value, Effect) else "",
)
def test_request_is_carried_out_before_a_lost_response(
    effect: Effect, error: tuple[type[Exception], ...], done: bool, client: Any, proxy: Proxy, environment: Environment
) -> None:
    proxy.inject([_fault(effect)], 1.0)
    with pytest.raises(error):
        client("s3").put_object(Bucket=environment.payloads, Key=effect.name, Body=b"x" * 300_000)
    listed = environment.s3.list_objects_v2(Bucket=environment.payloads, Prefix=effect.name)
    assert ("Contents" in listed) is done


def test_response_is_cut_within_its_body(client: Any, proxy: Proxy, environment: Environment) -> None:
    environment.s3.put_object(Bucket=environment.payloads, Key="long", Body=b"x" * 300_000)
    proxy.inject([_fault(Effect.CUT_RESPONSE)], 1.0)
    body = client("s3").get_object(Bucket=environment.payloads, Key="long")["Body"]
    assert body.read(10_000) == b"x" * 10_000
    with pytest.raises(Exception, match=r"(?i)connection|incomplete|reset"):
        body.read()
