"""The topic of messages."""

import json
from collections.abc import Callable

import pytest

from stacks.deployment import Deployment, parse_messaging
from tests.stacks.conftest import publisher_template
from tests.stacks.policies import Template, named_functions, only, resources, without_alarms

Synth = Callable[[Deployment], dict[str, Template]]


@pytest.mark.parametrize(("threshold", "maximum"), [(1024, 262_144), (300_000, 300_000)])
def test_topic_accepts_messages_up_to_the_threshold(example: Deployment, threshold: int, maximum: int) -> None:
    table = json.loads(example.model_dump_json())
    table["publisher"]["maximum_message_bytes"] = threshold
    table["subscribers"] = [subscriber for subscriber in table["subscribers"] if subscriber["kind"] == "sqs"]
    publisher = without_alarms(publisher_template(parse_messaging(table)))
    assert only(publisher, "AWS::SNS::Topic")["Properties"]["MaximumMessageSize"] == maximum
    (publish,) = (
        function for function in named_functions(publisher) if function["FunctionName"] == "coatcheck-publish"
    )
    assert publish["Environment"]["Variables"]["THRESHOLD_BYTES"] == str(threshold)


def test_fifo_deployment_is_fifo_from_topic_to_dead_letters(synth: Synth, example: Deployment) -> None:
    table = json.loads(example.model_dump_json())
    table["publisher"]["fifo"] = True
    table["subscribers"] = [subscriber for subscriber in table["subscribers"] if subscriber["kind"] == "sqs"]
    templates = synth(parse_messaging(table))
    topic = only(without_alarms(templates["coatcheck-publisher"]), "AWS::SNS::Topic")["Properties"]
    assert (topic["FifoTopic"], topic["TopicName"]) == (True, "coatcheck-messages.fifo")
    queues = [
        queue["Properties"]
        for name in ("coatcheck-orders", "coatcheck-orders-undelivered")
        for queue in resources(templates[name], "AWS::SQS::Queue").values()
    ]
    assert {queue["QueueName"]: queue.get("FifoQueue") for queue in queues} == {
        "coatcheck-orders.fifo": True,
        "coatcheck-orders-dead-letters.fifo": True,
        "coatcheck-orders-undelivered.fifo": True,
    }


def test_deliveries_are_logged_for_each_protocol(example: Deployment) -> None:
    table = json.loads(example.model_dump_json(exclude_none=True))
    table["publisher"]["delivery_log_percent"] = 5
    template = publisher_template(parse_messaging(table))
    assert "DeliveryStatusLogging" not in str(publisher_template(example))
    (topic,) = (
        resource["Properties"]
        for resource in template["Resources"].values()
        if resource["Type"] == "AWS::SNS::Topic" and resource["Properties"]["TopicName"] == "coatcheck-messages"
    )
    logging = topic["DeliveryStatusLogging"]
    assert [(each["Protocol"], each["SuccessFeedbackSampleRate"]) for each in logging] == [
        ("lambda", "5"),
        ("sqs", "5"),
    ]
    groups = {
        resource["Properties"].get("LogGroupName")
        for resource in template["Resources"].values()
        if resource["Type"] == "AWS::Logs::LogGroup"
    }
    name = "sns/us-east-1/111111111111/coatcheck-messages"
    assert {name, f"{name}/Failure"} <= groups
