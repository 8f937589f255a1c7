"""The stack of a subscriber with a queue."""

from tests.stacks.policies import only
from tests.stacks.subscriber.support import EXAMPLE, changed, template


def test_batch_reports_failures_per_message() -> None:
    mapping = only(template(EXAMPLE, "orders"), "AWS::Lambda::EventSourceMapping")["Properties"]
    assert mapping["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert mapping["ScalingConfig"] == {"MaximumConcurrency": 10}
    assert mapping["BatchSize"] == 5


def test_outputs_name_the_event_bus_and_the_landing_bucket() -> None:
    assert set(template(EXAMPLE, "orders")["Outputs"]) == {"EventBusArn"}
    landing = template(changed(EXAMPLE, "orders", landing={}), "orders")
    assert set(landing["Outputs"]) == {"EventBusArn", "LandingBucketName"}
