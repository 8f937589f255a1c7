"""Messages of AWS's two clients and of claim_check to each other through moto; each received one is printed as JSON.

Run as a program, in a separate process: importing either of AWS's clients replaces boto3's Session for good.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import sys
from importlib import import_module
from types import SimpleNamespace
from typing import Any

import boto3
from botocore.exceptions import ClientError
from moto import mock_aws

from claim_check import Dereferencer, Publisher, Store
from claim_check.wire.pointer import FORMS
from tests import descriptions

Plain = boto3.session.Session  # before AWS's clients replace it

SNSExtendedClientSession: Any = import_module("sns_extended_client").SNSExtendedClientSession
SQSExtendedClientSession: Any = import_module("sqs_extended_client").SQSExtendedClientSession

ACCOUNT = "123456789012"  # moto's
REGION = "us-east-1"
STORE = Store("payloads-one", "", ACCOUNT, REGION)
LARGE = "grüße 😀 " * 30_000  # 450 kB
ATTRIBUTES = {"kind": {"DataType": "String", "StringValue": "scan"}}


class Place:
    """A topic and a queue behind it."""

    def __init__(self, name: str, *, raw: bool) -> None:
        session = Plain(region_name=REGION)
        self.sns, self.sqs, self.s3 = session.client("sns"), session.client("sqs"), session.client("s3")
        self.topic = self.sns.create_topic(Name=name)["TopicArn"]
        self.queue = self.sqs.create_queue(QueueName=name)["QueueUrl"]
        self.sns.subscribe(
            TopicArn=self.topic,
            Protocol="sqs",
            Endpoint=f"arn:aws:sqs:{REGION}:{ACCOUNT}:{name}",
            Attributes={"RawMessageDelivery": "true" if raw else "false"},
        )

    def received(self) -> dict[str, Any]:
        """The one message in the queue, as SQS's API gives it."""
        (message,) = self.sqs.receive_message(QueueUrl=self.queue, MessageAttributeNames=["All"])["Messages"]
        return dict(message)


def heard_by_us(record: dict[str, Any]) -> dict[str, Any]:
    message = Dereferencer(stores=[STORE], s3=Plain(region_name=REGION).client("s3")).message(record)
    return {
        "payload": _digest(message.payload.text()),
        "attributes": {name: [attribute.data_type, attribute.value] for name, attribute in message.attributes.items()},
        "offloaded": message.pointer is not None,
        "body": record["Body"],
        "id": message.id,
    }


def their_sns_to_us(name: str, *, raw: bool, legacy: bool, text: str = LARGE) -> dict[str, Any]:
    place = Place(name, raw=raw)
    sns: Any = SNSExtendedClientSession(region_name=REGION).client("sns")
    sns.large_payload_support = STORE.bucket
    sns.use_legacy_attribute = legacy
    sns.publish(TopicArn=place.topic, Message=text, MessageAttributes=ATTRIBUTES)
    return heard_by_us(place.received())


def their_sqs_to_us(name: str, *, legacy: bool) -> dict[str, Any]:
    place = Place(name, raw=True)
    sqs: Any = SQSExtendedClientSession(region_name=REGION).client("sqs")
    sqs.large_payload_support = STORE.bucket
    sqs.use_legacy_attribute = legacy
    sqs.send_message(QueueUrl=place.queue, MessageBody=LARGE, MessageAttributes=dict(ATTRIBUTES))
    return heard_by_us(place.received())


def us_to_their_sqs(name: str, *, legacy: bool, text: str = LARGE) -> dict[str, Any]:
    place = Place(name, raw=True)
    publisher = Publisher(
        topic_arn=place.topic,
        store=STORE,
        pointer_form="python-legacy" if legacy else "sns-java",
        sns=place.sns,
        s3=place.s3,
    )
    published = publisher.publish(text, message_id=name, attributes={"kind": "scan"})
    sqs: Any = SQSExtendedClientSession(region_name=REGION).client("sqs")
    sqs.use_legacy_attribute = legacy
    (message,) = sqs.receive_message(QueueUrl=place.queue, MessageAttributeNames=["All"])["Messages"]
    again = Dereferencer(stores=[]).message(message)  # what they resolved is inline to us, and still checked
    return {
        "payload": _digest(message["Body"]),
        "attributes": sorted(message["MessageAttributes"]),
        "offloaded": published.pointer is not None,
        "read_again": [again.id, _digest(again.payload.text()), again.sha256],
    }


def queue_to_their_sqs(name: str, **options: Any) -> dict[str, Any]:
    """Return what their client hears of a message that our publisher sent to its queue."""
    place = Place(name, raw=True)
    publisher = Publisher(queue_url=place.queue, store=STORE, sqs=place.sqs, s3=place.s3, **options)
    published = publisher.publish(LARGE, message_id=name, attributes={"kind": "scan"})
    sqs: Any = SQSExtendedClientSession(region_name=REGION).client("sqs")
    sqs.use_legacy_attribute = options.get("pointer_form") in {"sqs-java", "sqs-java-1.0", "python-legacy"}
    (message,) = sqs.receive_message(QueueUrl=place.queue, MessageAttributeNames=["All"])["Messages"]
    pointer = published.pointer.body() if published.pointer else None
    return {"payload": _digest(message["Body"]), "is_pointer": message["Body"] == pointer}


def their_clean_up(name: str, *, on: bool) -> dict[str, bool]:
    """Return whether message and payload are left after their client deleted a message, as a reader of the payload.

    No reader role may delete a payload.
    """
    place = Place(name, raw=True)
    publisher = Publisher(topic_arn=place.topic, store=STORE, sns=place.sns, s3=place.s3)
    pointer = publisher.publish(LARGE, message_id=name).pointer
    assert pointer
    sqs: Any = SQSExtendedClientSession(region_name=REGION).client("sqs")
    sqs.delete_payload_from_s3 = on
    denied = (SimpleNamespace(status_code=403), {"Error": {"Code": "AccessDenied"}})
    sqs.s3_client.meta.events.register("before-call.s3.DeleteObject", lambda **_: denied)
    visible_at_once = {"MessageAttributeNames": ["All"], "VisibilityTimeout": 0}
    (message,) = sqs.receive_message(QueueUrl=place.queue, **visible_at_once)["Messages"]
    with contextlib.suppress(ClientError):
        sqs.delete_message(QueueUrl=place.queue, ReceiptHandle=message["ReceiptHandle"])
    objects = place.s3.list_objects_v2(Bucket=pointer.bucket, Prefix=pointer.key)
    return {"message": "Messages" in place.sqs.receive_message(QueueUrl=place.queue), "payload": "Contents" in objects}


def ours_beside_theirs(name: str) -> dict[str, Any]:
    """With boto3's Session replaced: binary attributes, which their SNS client cannot send, through a client of one's
    own."""
    place = Place(name, raw=False)  # moto fails on binary attributes under raw delivery
    publisher = Publisher(topic_arn=place.topic, store=STORE, sns=place.sns, s3=place.s3)
    publisher.publish("x", message_id=name, attributes={"binary": b"\x00\xff"})
    message = Dereferencer(stores=[STORE], s3=place.s3).message(place.received())
    value = message.attributes["binary"].value
    return {"binary": value.hex() if isinstance(value, bytes) else None, "replaced": boto3.Session is not Plain}


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def main() -> None:
    descriptions.share()
    with mock_aws():
        Plain(region_name=REGION).client("s3").create_bucket(Bucket=STORE.bucket)
        heard = {
            "sent": _digest(LARGE),
            "sns raw": their_sns_to_us("a", raw=True, legacy=False),
            "sns raw, legacy": their_sns_to_us("b", raw=True, legacy=True),
            "sns enveloped": their_sns_to_us("c", raw=False, legacy=False),
            "sns enveloped, legacy": their_sns_to_us("d", raw=False, legacy=True),
            "sns inline": their_sns_to_us("e", raw=False, legacy=False, text="small"),
            "sqs": their_sqs_to_us("f", legacy=False),
            "sqs, legacy": their_sqs_to_us("g", legacy=True),
            "to sqs": us_to_their_sqs("h", legacy=False),
            "to sqs, legacy": us_to_their_sqs("i", legacy=True),
            "to sqs inline": us_to_their_sqs("j", legacy=False, text="small"),
            "clean-up on": their_clean_up("n", on=True),
            "clean-up off": their_clean_up("o", on=False),
            "beside": ours_beside_theirs("k"),
            "forms": {form: queue_to_their_sqs(f"l{index}", pointer_form=form) for index, form in enumerate(FORMS)},
            "compressed": queue_to_their_sqs("m", compression="gzip"),
        }
    json.dump(heard, sys.stdout)


if __name__ == "__main__":
    main()
