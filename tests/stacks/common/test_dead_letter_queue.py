"""Queues: encryption, transport and retention."""

from tests.stacks.policies import Template, resources


def test_queues_are_encrypted_and_retain_dead_letters_two_weeks(templates: dict[str, Template]) -> None:
    queues = [q["Properties"] for t in templates.values() for q in resources(t, "AWS::SQS::Queue").values()]
    assert len(queues) == 6
    assert all(queue["SqsManagedSseEnabled"] is True for queue in queues)
    retention = {queue["QueueName"]: queue["MessageRetentionPeriod"] for queue in queues}
    assert retention.pop("coatcheck-orders") == 4 * 86_400
    assert set(retention.values()) == {14 * 86_400}


def test_queues_refuse_plain_http(templates: dict[str, Template]) -> None:
    for template in templates.values():
        denied = [
            queue["Ref"]
            for policy in resources(template, "AWS::SQS::QueuePolicy").values()
            for statement in policy["Properties"]["PolicyDocument"]["Statement"]
            if statement["Effect"] == "Deny" and statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
            for queue in policy["Properties"]["Queues"]
        ]
        assert sorted(denied) == sorted(resources(template, "AWS::SQS::Queue"))
