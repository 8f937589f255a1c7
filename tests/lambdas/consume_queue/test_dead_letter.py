"""Dead-lettering of records, with SQS as a stub."""

from typing import Any

from claim_check import MalformedMessage
from consume_queue.dead_letter import send_to_dead_letters
from tests.lambdas.conftest import sqs_record

QUEUE = "https://sqs.us-east-1.amazonaws.com/123456789012/dead-letters"
MESSAGE: dict[str, Any] = {
    "MessageId": "bad",
    "Body": "not a pointer",
    "MessageAttributes": {"ExtendedPayloadSize": {"DataType": "Number", "StringValue": "7"}},
}
SENT = {"MessageId": "sent", "MD5OfMessageBody": "0" * 32}


def test_record_is_sent_unchanged_with_its_reason(stubbed: Any) -> None:
    sqs, stub = stubbed("sqs")
    request = {
        "QueueUrl": QUEUE,
        "MessageBody": "not a pointer",
        "MessageAttributes": {
            "ExtendedPayloadSize": {"DataType": "Number", "StringValue": "7"},
            "DeadLetterReason": {"DataType": "String", "StringValue": "MalformedMessage: the body is no pointer"},
        },
    }
    stub.add_response("send_message", SENT, request)
    send_to_dead_letters(sqs_record(MESSAGE), MalformedMessage("the body is no pointer"), queue_url=QUEUE, sqs=sqs)
    stub.assert_no_pending_responses()


def test_fifo_record_keeps_group_and_binary_attributes(stubbed: Any) -> None:
    sqs, stub = stubbed("sqs")
    record = sqs_record(MESSAGE, queue="queue.fifo")
    record["messageAttributes"] = {"stamp": {"dataType": "Binary", "binaryValue": "AAH/"}}
    record["attributes"]["MessageGroupId"] = "group-7"
    request = {
        "QueueUrl": QUEUE,
        "MessageBody": "not a pointer",
        "MessageAttributes": {
            "stamp": {"DataType": "Binary", "BinaryValue": b"\x00\x01\xff"},
            "DeadLetterReason": {"DataType": "String", "StringValue": "ValueError: no"},
        },
        "MessageGroupId": "group-7",
        # SQS's id: a redriven message that fails again is no duplicate.
        "MessageDeduplicationId": "bad",
    }
    stub.add_response("send_message", SENT, request)
    send_to_dead_letters(record, ValueError("no"), queue_url=QUEUE, sqs=sqs)
    stub.assert_no_pending_responses()


def test_reason_is_one_line_of_limited_length(stubbed: Any) -> None:
    sqs, stub = stubbed("sqs")
    reasons: list[str] = []
    sqs.meta.events.register(
        "provide-client-params.sqs.SendMessage",
        lambda params, **_: reasons.append(params["MessageAttributes"]["DeadLetterReason"]["StringValue"]),
    )
    stub.add_response("send_message", SENT)
    error = ValueError("first\nsecond\x00" + "x" * 5000)
    send_to_dead_letters(sqs_record(MESSAGE), error, queue_url=QUEUE, sqs=sqs)
    assert reasons == [("ValueError: first second " + "x" * 5000)[:1024]]
