"""The claim: its form, and the forms that are rejected."""

from __future__ import annotations

from typing import TYPE_CHECKING

import boto3
import pytest
from botocore.stub import Stubber

from claim_check import Attribute, Dereferencer, MalformedMessage, Publisher, Store
from claim_check.wire.claim import Claim
from tests.lambdas.claim_check.conftest import TOPIC
from tests.lambdas.claim_check.deliveries import queued, short_id

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client


SHA256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_inline_message_has_payload_and_claim(s3: S3Client, store: Store) -> None:
    sns = boto3.client("sns", region_name="eu-west-1", aws_access_key_id="test", aws_secret_access_key="test")
    expected = {
        "TopicArn": TOPIC,
        "Message": "abc",
        "MessageAttributes": {
            "ClaimCheck": {"DataType": "String", "StringValue": '{"id":"m-1","sha256":"' + SHA256 + '"}'}
        },
    }
    with Stubber(sns) as stub:
        stub.add_response("publish", {"MessageId": "s-1"}, expected)
        published = Publisher(topic_arn=TOPIC, store=store, sns=sns, s3=s3).publish("abc", message_id="m-1")
        stub.assert_no_pending_responses()
    assert published.pointer is None


@pytest.mark.parametrize(
    ("claim", "text"),
    [
        (Claim("m-1"), '{"id":"m-1"}'),
        (Claim("m-1", crc64nvme="AAAAAAAAAAA="), '{"id":"m-1","crc64nvme":"AAAAAAAAAAA="}'),
        (Claim("m-1", SHA256, crc32="wVfZDQ=="), f'{{"id":"m-1","sha256":"{SHA256}","crc32":"wVfZDQ=="}}'),
        (
            Claim("m-1", SHA256, "AAAAAAAAAAA=", "AAAAAA=="),
            f'{{"id":"m-1","sha256":"{SHA256}","crc64nvme":"AAAAAAAAAAA=","crc32":"AAAAAA=="}}',
        ),
        (Claim("m-1", encoding="gzip", expanded=0), '{"id":"m-1","encoding":"gzip","expanded":0}'),
    ],
    ids=["id", "crc64nvme", "sha256, crc32", "checksums", "compressed"],
)
def test_claim_is_compact_json_without_empty_members(claim: Claim, text: str) -> None:
    assert claim.attribute() == Attribute("String", text)
    assert Claim.parse(text) == claim


@pytest.mark.parametrize(
    "claim",
    [
        "",
        "null",
        "[]",
        '"m-1"',
        "{}",
        '{"id":7}',
        '{"id":""}',
        '{"id":"a/b"}',
        '{"id":".."}',
        '{"id":"m\\n"}',
        '{"id":"' + "m" * 65 + '"}',
        '{"id":"m-1","sha256":7}',
        '{"id":"m-1","sha256":"abc"}',
        '{"id":"m-1","sha256":"' + SHA256.upper() + '"}',
        '{"id":"m-1","crc64nvme":"?"}',
        '{"id":"m-1","crc64nvme":"AAAA"}',
        '{"id":"m-1","crc64nvme":"é"}',
        '{"id":"m-1","crc64nvme":[]}',
        '{"id":"m-1","crc64nvme":"AAAAAAAAAAB="}',
        '{"id":"m-1","crc32":7}',
        '{"id":"m-1","encoding":"gzip"}',
        '{"id":"m-1","expanded":1}',
        '{"id":"m-1","encoding":"gzip","expanded":-1}',
        '{"id":"m-1","encoding":"gzip","expanded":true}',
        '{"id":"m-1","encoding":"gzip","expanded":1.0}',
        '{"id":"m-1","encoding":"gzip","expanded":1000000000000000000}',
        '{"id":"m-1","encoding":"","expanded":1}',
        '{"id":"m-1","encoding":["gzip"],"expanded":1}',
        '{"id":"m-1","encoding":"GZIP","expanded":1}',
        '{"id":"m-1","crc32":""}',
        '{"id":"m-1","crc32":"AAA="}',
        '{"id":"m-1","crc32":"AAAAAB=="}',
        '{"id":"m-1","crc32":"AAAAAA==\\n"}',
        '{"id":"m-1","crc32":"AAAAAAAAAAA="}',
        '{"id":' + "9" * 900 + "}",
        "[" * 1000,
        "[" * 200_000,
        '{"id":"m-1","x":"' + "x" * 2000 + '"}',
    ],
    ids=short_id,
)
def test_invalid_claim_is_malformed(claim: str, dereferencer: Dereferencer) -> None:
    with pytest.raises(MalformedMessage, match="ClaimCheck"):
        dereferencer.message(queued("hello", {"ClaimCheck": claim}, "String"))


def test_unknown_members_of_claim_are_ignored(dereferencer: Dereferencer) -> None:
    assert dereferencer.message(queued("hello", {"ClaimCheck": '{"id":"x","new":1}'}, "String")).id == "x"


def test_claim_has_up_to_1024_characters(dereferencer: Dereferencer) -> None:
    def identity(claim: str) -> str:
        attributes = {"ClaimCheck": {"DataType": "String", "StringValue": claim}}
        return dereferencer.message({"MessageId": "s-1", "Body": "x", "MessageAttributes": attributes}).id

    claim = '{"id":"m-1"}'
    assert identity(claim.ljust(1024)) == "m-1"
    with pytest.raises(MalformedMessage, match=r"^the attribute ClaimCheck has 1025 characters, more than 1024 "):
        identity(claim.ljust(1025))
