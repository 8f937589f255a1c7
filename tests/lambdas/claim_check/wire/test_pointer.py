"""The pointer: its written form, and the seven forms that are read."""

from __future__ import annotations

from typing import TYPE_CHECKING

import boto3
import pytest
from botocore.stub import Stubber

from claim_check import Dereferencer, MalformedMessage, Pointer, Publisher, Store, UntrustedStore
from claim_check.wire.pointer import FORMS, PointerForm
from tests.lambdas.claim_check.conftest import TOPIC
from tests.lambdas.claim_check.deliveries import NotedSns, pointing, queued, short_id

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client

SHA256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # of b"abc"
V1 = "com.amazon.sqs.javamessaging.MessageS3Pointer"
V2 = "software.amazon.payloadoffloading.PayloadS3Pointer"

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

WRITTEN: dict[PointerForm, str] = {
    "sqs-java-1.0": "G1 SQS Java 1.0",
    "sqs-java": "G2 SQS Java 1.1",
    "sns-java": "G3 SNS Java",
    "python": "G4 Python",
    "python-legacy": "G5 Python, legacy",
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


def test_pointer_is_written_in_each_form_of_aws() -> None:
    assert set(WRITTEN) == set(FORMS)
    for form, name in WRITTEN.items():
        assert (Pointer("payloads-one", "payloads/k").body(form), FORMS[form].marker) == READ[name]


def test_pointer_message_has_the_form_of_java_for_sns(s3: S3Client, store: Store) -> None:
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
                "StringValue": '{"id":"m-1","sha256":"' + SHA256 + '"}',
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
    assert (published.message_id, published.service_message_id, published.size) == ("m-1", "s-1", 3)


@pytest.mark.parametrize("form", FORMS)
def test_pointer_message_has_the_chosen_form(form: PointerForm, s3: S3Client, store: Store, sns: NotedSns) -> None:
    publisher = Publisher(topic_arn=TOPIC, store=store, offload="always", pointer_form=form, sns=sns.client(), s3=s3)
    publisher.publish(b"abc", message_id="m-1")
    (published,) = sns.published
    body, marker = READ[WRITTEN[form]]
    assert published["Message"] == body.replace("payloads/k", "payloads/m-1")
    assert set(published["MessageAttributes"]) == {marker, "ClaimCheck"}
    assert published["MessageAttributes"][marker] == {"DataType": "Number", "StringValue": "3"}


def test_unknown_pointer_form_is_rejected(store: Store) -> None:
    with pytest.raises(ValueError, match=r"pointer_form = 'G1': must be one of sns-java, sqs-java, sqs"):
        Publisher(topic_arn=TOPIC, store=store, pointer_form="G1")  # type: ignore[arg-type]


def test_key_is_not_escaped() -> None:
    written = '["software.amazon.payloadoffloading.PayloadS3Pointer",{"s3BucketName":"b","s3Key":"größe/k"}]'
    assert Pointer("b", "größe/k").body() == written
    assert Pointer.parse(written) == Pointer("b", "größe/k")


@pytest.mark.parametrize("form", READ)
def test_all_forms_are_read(form: str, dereferencer: Dereferencer) -> None:
    body, marker = READ[form]
    message = dereferencer.message(queued(body, {marker: "12"}))
    assert message.pointer == Pointer("payloads-one", "payloads/k")
    assert (message.size, message.sha256, message.id) == (12, None, "m-1")
    assert message.attributes == {}


@pytest.mark.parametrize("body", NOT_POINTERS, ids=short_id)
def test_marked_body_without_pointer_is_malformed(body: str, dereferencer: Dereferencer) -> None:
    with pytest.raises(MalformedMessage) as caught:
        dereferencer.message(queued(body, {"ExtendedPayloadSize": "12"}))
    assert caught.value.message_id == "m-1"
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize("size", ["", "-1", "+1", "1.0", "1e3", " 1", "\uff11", "\u00b2", "0x1", "9" * 19, "one"])
def test_marker_without_size_is_malformed(size: str, dereferencer: Dereferencer) -> None:
    body, marker = READ["G3 SNS Java"]
    with pytest.raises(MalformedMessage, match="not a non-negative integer"):
        dereferencer.message(queued(body, {marker: size}))


def test_binary_marker_is_malformed(dereferencer: Dereferencer) -> None:
    body, marker = READ["G3 SNS Java"]
    attributes = {marker: {"DataType": "Binary", "BinaryValue": b"12"}}
    with pytest.raises(MalformedMessage, match="not a non-negative integer"):
        dereferencer.message({"MessageId": "m-1", "Body": body, "MessageAttributes": attributes})


def test_pointer_fields_have_the_limits_of_s3(dereferencer: Dereferencer) -> None:
    for place in [("b" * 255, "k"), ("payloads-one", "ä" * 512)]:
        with pytest.raises(UntrustedStore):
            dereferencer.message(pointing(*place))
    for place in [("", "k"), ("payloads-one", ""), ("b" * 256, "k"), ("payloads-one", "ä" * 512 + "k")]:
        with pytest.raises(MalformedMessage, match="empty or longer than S3 allows"):
            dereferencer.message(pointing(*place))


def test_pointer_body_has_up_to_16384_characters(dereferencer: Dereferencer) -> None:
    with pytest.raises(MalformedMessage, match="but has 16385 characters"):
        dereferencer.message(queued("x" * 16_385, {"ExtendedPayloadSize": "3"}))
    with pytest.raises(MalformedMessage, match="the pointer is not JSON: Expecting value at character 0"):
        dereferencer.message(queued("x" * 16_384, {"ExtendedPayloadSize": "3"}))
