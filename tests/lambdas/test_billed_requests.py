"""The requests of one message, as `cli.cost` counts them."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from applications.count_lines.application import process
from cli.cost import Route
from cli.cost.prices import load as load_prices
from cli.cost.traffic import Traffic
from publish.event import publish_event
from publish.upload import publish_upload
from shared.handoff import Staging, prepare_handoff
from stacks.deployment import Deployment, load_messaging
from tests.lambdas.conftest import ACCOUNT, STAGING
from tests.lambdas.publish.publishing import Publishing, upload

EXAMPLE = Path(__file__).parents[2] / "deployments" / "example.toml"
PRICE_OF = {
    "PutObject": "s3_put",
    "CopyObject": "s3_put",
    "CreateMultipartUpload": "s3_put",
    "UploadPart": "s3_put",
    "CompleteMultipartUpload": "s3_put",
    "GetObject": "s3_get",
    "HeadObject": "s3_get",
    "DeleteObject": None,  # costs nothing
}
SMALL, LARGE, PARTS = 1024, 300 * 1024, 20 * 1024**2


@pytest.fixture
def billed(aws: None) -> Iterator[Counter[str]]:
    """The S3 requests that are sent from now on, by price."""
    counter: Counter[str] = Counter()

    def count(model: Any, **_: object) -> None:
        if price := PRICE_OF[model.name]:
            counter[price] += 1

    events = boto3.DEFAULT_SESSION.events  # type: ignore[union-attr]
    events.register("before-call.s3", count)
    yield counter
    events.unregister("before-call.s3", count)


@pytest.fixture(scope="module")
def example() -> Deployment:
    return load_messaging(EXAMPLE)


def expected(example: Deployment, hop: str, *, size: int, route: Route) -> Counter[str]:
    """Return the S3 requests of a hop in the model, without those of the sender and of the application."""
    traffic = Traffic(deployment=example, size=size, route=route, assumed=load_prices().assumed, reads=0)
    charges = [charge for charge in traffic.charges() if charge.hop == hop and charge.price in ("s3_put", "s3_get")]
    if route == "outbox":
        charges = charges[1:]  # the upload itself
    counter: Counter[str] = Counter()
    for charge in charges:
        counter[charge.price] += int(charge.quantity)
    return counter


def event(size: int) -> dict[str, Any]:
    detail = {"text": "x" * (size - len('{"text":""}'))}
    return {"id": "event", "source": "shop", "detail-type": "order", "account": ACCOUNT, "detail": detail}


@pytest.mark.parametrize("size", [SMALL, LARGE])
def test_requests_of_an_event(billed: Counter[str], example: Deployment, size: int) -> None:
    publishing = Publishing()
    publish_event(event(size), publisher=publishing.publisher)

    assert billed == expected(example, "publisher", size=size, route="bus")
    assert len(publishing.requests) == 1


def test_requests_of_an_upload(billed: Counter[str], example: Deployment) -> None:
    publishing = Publishing()
    uploaded = upload(b"x" * LARGE)
    billed.clear()
    publish_upload(
        uploaded,
        message_id="m-1",
        publisher=publishing.publisher,
        outbox_prefix="outbox/",
        maximum_bytes=2**30,
        senders={},
        s3=boto3.client("s3"),
    )

    assert billed == expected(example, "publisher", size=LARGE, route="outbox")


@pytest.mark.parametrize("size", [SMALL, LARGE, PARTS])
def test_requests_of_the_library(billed: Counter[str], example: Deployment, size: int) -> None:
    Publishing().publisher.publish(b"x" * size)

    # The model's parts are the smallest possible.
    assert 0 <= expected(example, "publisher", size=size, route="library").total() - billed.total() <= size // PARTS


@pytest.mark.parametrize("size", [SMALL, LARGE])
@pytest.mark.parametrize("hop", ["orders", "billing"])
def test_requests_of_a_consume_function(billed: Counter[str], example: Deployment, hop: str, size: int) -> None:
    publishing = Publishing()
    publish_event(event(size), publisher=publishing.publisher)
    [message] = publishing.messages()
    billed.clear()
    proof = message.payload.verify()
    if hop == "billing":  # which has own code
        assert process(message) == {"lines": 0}
    prepare_handoff(message, proof, staging=Staging(store=STAGING, s3=boto3.client("s3")))

    assert billed == expected(example, hop, size=size, route="bus")
