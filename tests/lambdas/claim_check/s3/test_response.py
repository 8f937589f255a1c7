"""Responses of success that S3 cannot have sent: a proxy or another server responded."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

from claim_check import (
    Dereferencer,
    Payload,
    PayloadUnavailable,
    Pointer,
    S3Object,
    Store,
    find_copy,
    offload,
    uploaded_object,
)
from claim_check.memory import MIB
from tests.lambdas.claim_check.fake_s3 import OWNER, FakeS3

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client

STORE = Store("payloads-one", "payloads/", OWNER, "eu-west-1")
OBJECT = S3Object("payloads-one", "payloads/m-1", OWNER, "eu-west-1")


def payload_of(s3: S3Client, size: int, memory: int = 40 * MIB) -> Payload:
    dereferencer = Dereferencer(stores=[STORE], s3=s3, memory=memory)
    return dereferencer.payload(Pointer("payloads-one", "payloads/m-1"), size=size, message_id="m-1", sha256="0" * 64)


CALLS: dict[str, Callable[[S3Client, int], object]] = {
    "read": lambda s3, size: payload_of(s3, size).read(),
    "read of ranges": lambda s3, size: payload_of(s3, size, MIB).read(),
    "verify": lambda s3, size: payload_of(s3, size).verify(),
    "copy_to": lambda s3, size: payload_of(s3, size).copy_to(OBJECT, s3=s3),
    "find_copy": lambda s3, size: find_copy(s3, source=OBJECT, size=size, store=STORE, message_id="m-1"),
    "uploaded_object": lambda s3, _: uploaded_object(s3, OBJECT),
    "offload": lambda s3, size: offload(bytes(size), store=STORE, message_id="m-1", s3=s3),
    "offload in parts": lambda s3, _: offload(bytes(9 * MIB), store=STORE, message_id="m-1", s3=s3),
}


@pytest.mark.parametrize("member", ["ETag", "ContentLength"])
@pytest.mark.parametrize("call", CALLS)
def test_response_without_a_member_is_unavailable(member: str, call: str, fake_s3: FakeS3) -> None:
    fake_s3.put(OBJECT.bucket, OBJECT.key, bytes(MIB))
    s3 = fake_s3.client()

    def remove(parsed: dict[str, Any], **_: Any) -> None:
        parsed.pop(member, None)

    for operation in ("GetObject", "HeadObject"):
        s3.meta.events.register(f"after-call.s3.{operation}", remove)
    with pytest.raises(PayloadUnavailable, match="the response is not S3's: check the endpoint and the proxies"):
        CALLS[call](s3, MIB)


@pytest.mark.parametrize("value", ["abc", "0" * 64, "AAAA", "\N{SNOWMAN}"])
@pytest.mark.parametrize("call", ["verify", "find_copy", "copy_to"])
def test_sha256_of_another_form_is_unavailable(value: str, call: str, fake_s3: FakeS3) -> None:
    fake_s3.put(OBJECT.bucket, OBJECT.key, bytes(MIB))
    s3 = fake_s3.client()

    def change(parsed: dict[str, Any], **_: Any) -> None:
        (parsed.get("CopyObjectResult") or parsed)["ChecksumSHA256"] = value

    for operation in ("HeadObject", "CopyObject"):
        s3.meta.events.register(f"after-call.s3.{operation}", change)
    with pytest.raises(PayloadUnavailable, match="the response is not S3's"):
        CALLS[call](s3, MIB)


@pytest.mark.parametrize(
    ("header", "value"), [("Content-Length", "abc"), ("Last-Modified", "never"), ("x-amz-mp-parts-count", "1e9")]
)
@pytest.mark.parametrize("call", ["read", "read of ranges", "verify", "copy_to", "find_copy", "uploaded_object"])
def test_unparsable_header_is_unavailable(header: str, value: str, call: str, fake_s3: FakeS3) -> None:
    fake_s3.put(OBJECT.bucket, OBJECT.key, bytes(MIB))
    s3 = fake_s3.client()

    with ExitStack() as bodies:  # botocore leaves the body of a response open that it cannot parse

        def change(response_dict: Any, **_: Any) -> None:
            response_dict["headers"][header] = value
            if hasattr(response_dict["body"], "close"):
                bodies.callback(response_dict["body"].close)

        s3.meta.events.register("before-parse.s3", change)
        with pytest.raises(PayloadUnavailable, match="the response is not S3's"):
            CALLS[call](s3, MIB)
