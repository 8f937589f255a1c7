"""The subscriber's event bus and its forwarding rules."""

from tests.stacks.policies import only
from tests.stacks.subscriber.support import EXAMPLE, find_one, template


def test_failed_executions_are_forwarded_to_the_bus() -> None:
    own = template(EXAMPLE, "orders")
    rule = only(own, "AWS::Events::Rule")["Properties"]
    machine, _ = find_one(own, "AWS::StepFunctions::StateMachine")
    assert "EventBusName" not in rule, "Step Functions puts its events on the account's default bus"
    assert rule["EventPattern"] == {
        "source": ["aws.states"],
        "detail-type": ["Step Functions Execution Status Change"],
        "detail": {"status": ["FAILED", "TIMED_OUT", "ABORTED"], "stateMachineArn": [{"Ref": machine}]},
    }
    bus, _ = find_one(own, "AWS::Events::EventBus", Name="coatcheck-orders")
    assert [target["Arn"] for target in rule["Targets"]] == [{"Fn::GetAtt": [bus, "Arn"]}]
