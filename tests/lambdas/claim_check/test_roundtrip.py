"""Round trips: any bytes and attributes, in every form of delivery."""

from __future__ import annotations

import hashlib
import string
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from claim_check import Attribute, Dereferencer, Publisher, Store
from claim_check.publishing import offload as offloading_module
from claim_check.wire.attribute import RESERVED_ATTRIBUTES
from tests.lambdas.claim_check.conftest import TOPIC
from tests.lambdas.claim_check.deliveries import DELIVERIES, ENVELOPED, NotedSns

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client

shared = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])

payloads = st.one_of(st.binary(max_size=3000), st.text(max_size=1500).filter(lambda t: "\ud800" not in t))
texts = st.text(st.characters(exclude_categories=["Cc", "Cs", "Cn"]), min_size=1, max_size=50)
names = st.text(string.ascii_letters + string.digits + "_-", min_size=1, max_size=30).filter(
    lambda n: n not in RESERVED_ATTRIBUTES
)
values = st.one_of(
    texts,
    st.integers(-(10**30), 10**30),
    st.floats(allow_nan=False, allow_infinity=False, min_value=-1e100, max_value=1e100),
    st.binary(min_size=1, max_size=50),
)


@shared
@given(payload=payloads, attributes=st.dictionaries(names, values, max_size=8), subject=st.none() | st.just("Größe 5"))
def test_payload_arrives_in_every_form_of_delivery(
    payload: bytes | str,
    attributes: dict[str, str | int | float | bytes],
    subject: str | None,
    s3: S3Client,
    store: Store,
    dereferencer: Dereferencer,
) -> None:
    sns = NotedSns()
    before = dict(attributes)
    publisher = Publisher(topic_arn=TOPIC, store=store, threshold=2000, sns=sns.client(), s3=s3)
    published = publisher.publish(payload, attributes=attributes, subject=subject)
    data = payload.encode() if isinstance(payload, str) else payload

    assert attributes == before
    assert (published.size, published.sha256) == (len(data), hashlib.sha256(data).hexdigest())
    for name, delivered in DELIVERIES.items():
        message = dereferencer.message(delivered(sns.published[0]))
        assert message.id == published.message_id, name
        assert message.payload.read() == data, name
        assert message.pointer == published.pointer, name
        assert (message.size, message.sha256) == (len(data), published.sha256), name
        assert message.attributes == {key: Attribute.of(value) for key, value in attributes.items()}, name
        assert message.subject == (subject if name in ENVELOPED else None), name
        assert message.topic_arn == (TOPIC if name in ENVELOPED else None), name


@pytest.mark.parametrize("size", [0, 1, 5 * 2**20 - 1, 5 * 2**20, 5 * 2**20 + 1, 25_000_000])
def test_payloads_around_the_part_size_arrive(
    size: int, publisher: Publisher, sns: NotedSns, dereferencer: Dereferencer
) -> None:
    data = (bytes(range(256)) * (size // 256 + 1))[:size]
    publisher.publish(data, message_id="whole")
    publisher.publish((data[start : start + 777_777] for start in range(0, size, 777_777)), message_id="streamed")
    for published in sns.published:
        digest = dereferencer.message(DELIVERIES["SQS event, raw"](published)).payload.verify_by_reading()
        assert (digest.size, digest.sha256) == (size, hashlib.sha256(data).hexdigest())


@shared
@given(
    pieces=st.lists(st.binary(max_size=40), max_size=12),
    part=st.integers(1, 30),
    chunk_size=st.integers(1, 50),
    always=st.booleans(),
)
def test_payload_arrives_whole_for_any_chunk_size(
    pieces: list[bytes],
    part: int,
    chunk_size: int,
    always: bool,
    s3: S3Client,
    store: Store,
    dereferencer: Dereferencer,
) -> None:
    sns, data = NotedSns(), b"".join(pieces)
    publisher = Publisher(
        topic_arn=TOPIC, store=store, offload="always" if always else "over-threshold", sns=sns.client(), s3=s3
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(offloading_module, "PART_BYTES", part)
        published = publisher.publish(iter(pieces))
    assert (published.size, published.sha256) == (len(data), hashlib.sha256(data).hexdigest())
    payload = dereferencer.message(DELIVERIES["SQS event, raw"](sns.published[0])).payload
    chunks = list(payload.iter_chunks(chunk_size))
    assert b"".join(chunks) == data
    assert all(0 < len(chunk) <= chunk_size for chunk in chunks)
