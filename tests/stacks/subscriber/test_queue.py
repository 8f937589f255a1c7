"""The queue before the consume function."""

from stacks.deployment import load_messaging
from tests.stacks.policies import consume_function
from tests.stacks.subscriber.support import EXAMPLE, find_one, template
from tests.templates import ROOT


def test_queue_hides_messages_for_six_function_timeouts() -> None:
    own = template(EXAMPLE, "orders")
    _, queue = find_one(own, "AWS::SQS::Queue", QueueName="coatcheck-orders")
    assert queue["VisibilityTimeout"] >= 6 * consume_function(own)["Timeout"]
    assert queue["MessageRetentionPeriod"] == 4 * 86_400


def test_queue_dead_letters_after_the_files_receives() -> None:
    own = template(EXAMPLE, "orders")
    _, queue = find_one(own, "AWS::SQS::Queue", QueueName="coatcheck-orders")
    dead_letters, _ = find_one(own, "AWS::SQS::Queue", QueueName="coatcheck-orders-dead-letters")
    assert queue["RedrivePolicy"] == {
        "deadLetterTargetArn": {"Fn::GetAtt": [dead_letters, "Arn"]},
        "maxReceiveCount": 5,
    }
    assert consume_function(own)["Environment"]["Variables"]["MAXIMUM_RECEIVES"] == "5"


def test_fifo_queue_allows_receives_behind_failed_messages() -> None:
    """The function counts its own attempts: `maximum_receives`."""
    fifo = load_messaging(ROOT / "deployments" / "routing.toml")
    own = template(fifo, "orders")
    _, queue = find_one(own, "AWS::SQS::Queue", QueueName="coatcheck-routing-orders.fifo")
    assert queue["RedrivePolicy"]["maxReceiveCount"] == 5 * 5
    assert consume_function(own)["Environment"]["Variables"]["MAXIMUM_RECEIVES"] == "5"
