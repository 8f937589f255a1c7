"""Bytes on the wire, letter by letter: what we write, and the seven forms that we read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.stub import Stubber

from claim_check import Dereferencer, MalformedMessage, Pointer, Publisher, Store
from claim_check.wire.claim import Claim
from tests.lambdas.claim_check.conftest import TOPIC
from tests.lambdas.claim_check.deliveries import NotedSns

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client

V1 = "com.amazon.sqs.javamessaging.MessageS3Pointer"
V2 = "software.amazon.payloadoffloading.PayloadS3Pointer"
SHA256_OF_ABC = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"

READ = {
    "G1 SQS Java 1.0": (f'["{V1}",{{"s3BucketName":"payloads-one","s3Key":"payloads/k"}}]', "SQSLargePayloadSize"),
    "G2 SQS Java 1.1": (f'["{V2}",{{"s3BucketName":"payloads-one","s3Key":"payloads/k"}}]', "SQSLargePayloadSize"),
    "G3 SNS Java": (f'["{V2}",{{"s3BucketName":"payloads-one","s3Key":"payloads/k"}}]', "ExtendedPayloadSize"),
    "G4 Python": (f'["{V2}", {{"s3BucketName": "payloads-one", "s3Key": "payloads/k"}}]', "ExtendedPayloadSize"),
    "G5 Python, legacy": (
        f'["{V1}", {{"s3BucketName": "payloads-one", "s3Key": "payloads/k"}}]',
        "SQSLargePayloadSize",
    ),
    "G6 sqs-extended-client": (
        f'["{V1}",{{"s3BucketName":"payloads-one","s3Key":"payloads/k"}}]',
        "SQSLargePayloadSize",
    ),
    "G7 Go": (f'["{V2}",{{"s3BucketName":"payloads-one","s3Key":"payloads/k"}}]', "ExtendedPayloadSize"),
}

NOT_POINTERS = [
    "",
    "null",
    "[]",
    "{}",
    '{"s3BucketName":"b","s3Key":"k"}',
    f'["{V2}"]',
    f'["{V2}",{{"s3BucketName":"b"}}]',
    f'["{V2}",{{"s3BucketName":"b","s3Key":7}}]',
    f'["{V2}",{{"s3BucketName":null,"s3Key":"k"}}]',
    f'["{V2}",{{"s3BucketName":"b","s3Key":""}}]',
    f'["{V2}",{{"s3BucketName":"","s3Key":"k"}}]',
    f'["{V2}",{{"s3BucketName":"b","s3Key":"\\ud800"}}]',
    f'["{V2}",{{"s3BucketName":"b","s3Key":"{"k" * 1025}"}}]',
    f'["{V2}",{{"s3BucketName":"{"b" * 256}","s3Key":"k"}}]',
    f'["{V2}",{{"s3BucketName":"b","s3Key":"k"}},{{}}]',
    '["software.amazon.payloadoffloading.Another",{"s3BucketName":"b","s3Key":"k"}]',
    "[" * 8000,
    "[" * 100_000,
    '{"a":' * 3000,
    "1" * 5000,
]


def record(body: str, attributes: dict[str, str], data_type: str = "Number") -> dict[str, Any]:
    spelt = {name: {"dataType": data_type, "stringValue": value} for name, value in attributes.items()}
    return {"messageId": "m-1", "body": body, "messageAttributes": spelt}


def test_a_pointer_message_is_written_as_the_java_library_for_sns_writes_it(s3: S3Client, store: Store) -> None:
    sns = boto3.client("sns", region_name="eu-west-1", aws_access_key_id="test", aws_secret_access_key="test")
    expected = {
        "TopicArn": TOPIC,
        "Message": '["software.amazon.payloadoffloading.PayloadS3Pointer",'
        '{"s3BucketName":"payloads-one","s3Key":"payloads/m-1"}]',
        "MessageAttributes": {
            "kind": {"DataType": "String", "StringValue": "scan"},
            "ExtendedPayloadSize": {"DataType": "Number", "StringValue": "3"},
            "ClaimCheck": {
                "DataType": "String",
                "StringValue": '{"id":"m-1","sha256":"' + SHA256_OF_ABC + '"}',
            },
        },
        "Subject": "a scan",
    }
    with Stubber(sns) as stub:
        stub.add_response("publish", {"MessageId": "s-1"}, expected)
        publisher = Publisher(topic_arn=TOPIC, store=store, offload="always", sns=sns, s3=s3)
        published = publisher.publish(b"abc", message_id="m-1", attributes={"kind": "scan"}, subject="a scan")
        stub.assert_no_pending_responses()
    assert published.pointer == Pointer("payloads-one", "payloads/m-1")
    assert (published.message_id, published.sns_message_id, published.size) == ("m-1", "s-1", 3)


def test_the_legacy_marker_makes_it_the_java_library_for_sqs(s3: S3Client, store: Store, sns: NotedSns) -> None:
    publisher = Publisher(topic_arn=TOPIC, store=store, offload="always", legacy_marker=True, sns=sns.client(), s3=s3)
    publisher.publish(b"abc", message_id="m-1")
    (published,) = sns.published
    body, marker = READ["G2 SQS Java 1.1"]
    assert published["Message"] == body.replace("payloads/k", "payloads/m-1")
    assert set(published["MessageAttributes"]) == {marker, "ClaimCheck"}
    assert published["MessageAttributes"][marker] == {"DataType": "Number", "StringValue": "3"}


def test_an_inline_message_carries_its_payload_and_one_attribute_of_ours(s3: S3Client, store: Store) -> None:
    sns = boto3.client("sns", region_name="eu-west-1", aws_access_key_id="test", aws_secret_access_key="test")
    expected = {
        "TopicArn": TOPIC,
        "Message": "abc",
        "MessageAttributes": {
            "ClaimCheck": {"DataType": "String", "StringValue": '{"id":"m-1","sha256":"' + SHA256_OF_ABC + '"}'}
        },
    }
    with Stubber(sns) as stub:
        stub.add_response("publish", {"MessageId": "s-1"}, expected)
        published = Publisher(topic_arn=TOPIC, store=store, sns=sns, s3=s3).publish("abc", message_id="m-1")
        stub.assert_no_pending_responses()
    assert published.pointer is None


def test_a_key_is_written_as_it_is_and_not_escaped() -> None:
    written = '["software.amazon.payloadoffloading.PayloadS3Pointer",{"s3BucketName":"b","s3Key":"größe/k"}]'
    assert Pointer("b", "größe/k").body() == written
    assert Pointer.parse(written) == Pointer("b", "größe/k")


def test_a_claim_of_what_only_s3_digested() -> None:
    assert Claim("m-1", crc64nvme="AAAAAAAAAAA=").attribute().value == '{"id":"m-1","crc64nvme":"AAAAAAAAAAA="}'


@pytest.mark.parametrize("form", READ)
def test_every_form_is_read(form: str, dereferencer: Dereferencer) -> None:
    body, marker = READ[form]
    message = dereferencer.message(record(body, {marker: "12"}))
    assert message.pointer == Pointer("payloads-one", "payloads/k")
    assert (message.size, message.sha256, message.id) == (12, None, "m-1")
    assert message.attributes == {}


@pytest.mark.parametrize("body", NOT_POINTERS, ids=lambda body: body[:40])
def test_a_marked_body_that_is_no_pointer_is_malformed(body: str, dereferencer: Dereferencer) -> None:
    with pytest.raises(MalformedMessage) as caught:
        dereferencer.message(record(body, {"ExtendedPayloadSize": "12"}))
    assert caught.value.message_id == "m-1"
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize("size", ["", "-1", "+1", "1.0", "1e3", " 1", "\uff11", "\u00b2", "0x1", "9" * 19, "one"])
def test_a_marker_that_is_no_size_is_malformed(size: str, dereferencer: Dereferencer) -> None:
    body, marker = READ["G3 SNS Java"]
    with pytest.raises(MalformedMessage, match="not a non-negative integer"):
        dereferencer.message(record(body, {marker: size}))


def test_a_binary_marker_is_malformed(dereferencer: Dereferencer) -> None:
    body, marker = READ["G3 SNS Java"]
    attributes = {marker: {"DataType": "Binary", "BinaryValue": b"12"}}
    with pytest.raises(MalformedMessage, match="not a non-negative integer"):
        dereferencer.message({"MessageId": "m-1", "Body": body, "MessageAttributes": attributes})


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
        '{"id":"m-1","sha256":"' + SHA256_OF_ABC.upper() + '"}',
        '{"id":"m-1","crc64nvme":"?"}',
        '{"id":"m-1","crc64nvme":"AAAA"}',
        '{"id":"m-1","crc64nvme":"é"}',
        '{"id":"m-1","crc64nvme":[]}',
        '{"id":' + "9" * 900 + "}",
        "[" * 1000,
        "[" * 200_000,
        '{"id":"m-1","x":"' + "x" * 2000 + '"}',
    ],
    ids=lambda claim: claim[:40],
)
def test_a_hostile_claim_is_malformed(claim: str, dereferencer: Dereferencer) -> None:
    with pytest.raises(MalformedMessage, match="ClaimCheck"):
        dereferencer.message(record("hello", {"ClaimCheck": claim}, "String"))


def test_a_claim_may_have_members_of_a_later_version(dereferencer: Dereferencer) -> None:
    assert dereferencer.message(record("hello", {"ClaimCheck": '{"id":"x","new":1}'}, "String")).id == "x"


def test_the_longest_claim(dereferencer: Dereferencer) -> None:
    def identity(claim: str) -> str:
        attributes = {"ClaimCheck": {"DataType": "String", "StringValue": claim}}
        return dereferencer.message({"MessageId": "s-1", "Body": "x", "MessageAttributes": attributes}).id

    claim = '{"id":"m-1"}'
    assert identity(claim.ljust(1024)) == "m-1"
    with pytest.raises(MalformedMessage, match=r"^the attribute ClaimCheck has 1025 characters, more than 1024 "):
        identity(claim.ljust(1025))
