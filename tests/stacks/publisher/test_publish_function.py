"""The publish function: its triggers, its dead letters and its settings."""

import pytest

from publish.settings import Settings
from stacks.deployment import Deployment, Names
from tests.stacks.policies import Template, named_functions, only, resources, without_alarms


@pytest.fixture(scope="module")
def publisher(templates: dict[str, Template]) -> Template:
    return without_alarms(templates["coatcheck-publisher"])


def test_events_and_uploads_invoke_the_publish_function(publisher: Template) -> None:
    (function,) = resources(publisher, "AWS::Lambda::Function")
    (dead_letters,) = resources(publisher, "AWS::SQS::Queue")
    rules = resources(publisher, "AWS::Events::Rule").values()
    assert len(rules) == 2
    for rule in rules:
        (target,) = rule["Properties"]["Targets"]
        assert target["Arn"] == {"Fn::GetAtt": [function, "Arn"]}
        assert target["DeadLetterConfig"] == {"Arn": {"Fn::GetAtt": [dead_letters, "Arn"]}}
    (outbox,) = (p for rule in rules if "detail" in (p := rule["Properties"]["EventPattern"]))
    (bucket,) = resources(publisher, "AWS::S3::Bucket")
    assert outbox == {
        "source": ["aws.s3"],
        "detail-type": ["Object Created"],
        "detail": {"bucket": {"name": [{"Ref": bucket}]}, "object": {"key": [{"prefix": "outbox/"}]}},
    }
    failures = only(publisher, "AWS::Lambda::EventInvokeConfig")["Properties"]["DestinationConfig"]
    assert failures == {"OnFailure": {"Destination": {"Fn::GetAtt": [dead_letters, "Arn"]}}}


def test_publish_function_can_read_its_settings(publisher: Template, example: Deployment) -> None:
    (function,) = named_functions(publisher)
    environment = {key: str(value) for key, value in function["Environment"]["Variables"].items()}
    settings = Settings.from_environment(environment)
    assert settings.payload_store.bucket == "coatcheck-payloads-111111111111-us-east-1"
    assert settings.sender_accounts == {"shop": "444444444444"}
    assert settings.bus_of("shop") == Names(example).senders["shop"].event_bus.arn
    assert (settings.threshold_bytes, settings.maximum_upload_bytes) == (262_144, 64 * 1024**2)
