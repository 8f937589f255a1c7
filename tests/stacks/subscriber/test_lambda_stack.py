"""The stack of a subscriber with a function."""

import pytest

from stacks.deployment import Deployment
from tests.stacks.policies import Template, consume_function, only, resources
from tests.stacks.subscriber.support import EXAMPLE, changed, find_one, template


@pytest.fixture(scope="module")
def billing() -> Template:
    return template(EXAMPLE, "billing")


@pytest.fixture(scope="module")
def limited() -> Template:
    return template(changed(EXAMPLE, "billing", maximum_concurrency=7), "billing")


def test_failed_invocations_go_to_the_dead_letter_queue(billing: Template) -> None:
    destination = only(billing, "AWS::Lambda::EventInvokeConfig")["Properties"]["DestinationConfig"]["OnFailure"]
    queue, _ = find_one(billing, "AWS::SQS::Queue", QueueName="coatcheck-billing-dead-letters")
    assert destination["Destination"] == {"Fn::GetAtt": [queue, "Arn"]}


def with_payload_lifetime(days: int) -> Deployment:
    publisher = EXAMPLE.publisher.model_copy(update={"payload_lifetime_days": days, "accept_expired_pointers": True})
    return EXAMPLE.model_copy(update={"publisher": publisher})


@pytest.mark.parametrize(("lifetime", "days"), [(101, 101), (2, 82)])
def test_idempotency_outlasts_payloads_and_queues(lifetime: int, days: int) -> None:
    own = template(with_payload_lifetime(lifetime), "billing")
    assert consume_function(own)["Environment"]["Variables"]["IDEMPOTENCY_SECONDS"] == str(days * 86_400)


def test_idempotency_table_expires_records(billing: Template) -> None:
    _, table = find_one(billing, "AWS::DynamoDB::GlobalTable", TableName="coatcheck-billing-idempotency")
    assert table["TimeToLiveSpecification"] == {"AttributeName": "expiration", "Enabled": True}


def test_maximum_concurrency_is_reserved(billing: Template, limited: Template) -> None:
    assert consume_function(limited)["ReservedConcurrentExecutions"] == 7
    assert "ReservedConcurrentExecutions" not in consume_function(billing)


def test_throttling_is_no_alarm_when_concurrency_is_limited(billing: Template, limited: Template) -> None:
    def alarms(own: Template) -> set[str]:
        alarms = resources(own, "AWS::CloudWatch::Alarm").values()
        return {str(alarm["Properties"]["AlarmName"]).removeprefix("coatcheck-billing-") for alarm in alarms}

    assert alarms(billing) - alarms(limited) == {"ConsumeThrottled"}
    assert "ConsumeLate" in alarms(limited)
