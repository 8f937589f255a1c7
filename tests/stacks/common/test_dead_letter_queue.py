"""Queues: retention."""

from tests.stacks.policies import Template, resources


def test_queues_retain_dead_letters_two_weeks(templates: dict[str, Template]) -> None:
    queues = [q["Properties"] for t in templates.values() for q in resources(t, "AWS::SQS::Queue").values()]
    retention = {queue["QueueName"]: queue["MessageRetentionPeriod"] for queue in queues}
    assert retention.pop("coatcheck-orders") == 4 * 86_400
    assert list(retention.values()) == [14 * 86_400] * 5
