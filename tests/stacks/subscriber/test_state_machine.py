"""The state machine behind a queue: its built-in definition, and definitions that the deployment file names."""

import json
from typing import Any

import pytest

from local.environment import ROOT
from stacks.deployment import load_messaging
from stacks.subscriber.state_machine import PERMANENT_ERRORS
from tests.stacks.policies import Template, resolved
from tests.stacks.subscriber.support import DEPLOYMENTS, EXAMPLE, changed, template

SAMPLES = ROOT / "applications" / "state_machine"


def definition(template: Template) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(resolved(template, "AWS::StepFunctions::StateMachine")["DefinitionString"])
    return document


@pytest.fixture(scope="module")
def built_in() -> dict[str, Any]:
    return definition(template(changed(EXAMPLE, "orders", landing={}), "orders"))


@pytest.fixture(scope="module")
def sample() -> Template:
    return template(load_messaging(DEPLOYMENTS / "workflow.toml"), "orders")


def test_copy_is_retried_unless_the_error_is_permanent(built_in: dict[str, Any]) -> None:
    permanent, _, other = built_in["States"]["CopyPayload"]["Retry"]
    assert permanent == {"ErrorEquals": PERMANENT_ERRORS, "MaxAttempts": 0}
    assert {"MalformedMessage", "PayloadCorrupt", "PayloadMissing", "UntrustedStore"} <= set(PERMANENT_ERRORS)
    assert not {"PayloadUnavailable", "PayloadDenied"}.intersection(PERMANENT_ERRORS)
    assert other["ErrorEquals"] == ["States.ALL"]
    assert (other["MaxAttempts"], other["BackoffRate"]) == (5, 3)


def average_hours(retrier: dict[str, Any]) -> float:
    """Return the average time of all retries. With full jitter, a pause lasts half its maximum on average."""
    assert retrier["JitterStrategy"] == "FULL"
    pauses = (retrier["IntervalSeconds"] * retrier["BackoffRate"] ** n for n in range(retrier["MaxAttempts"]))
    seconds: float = sum(min(pause, retrier["MaxDelaySeconds"]) for pause in pauses) / 2
    return seconds / 3600


def test_throttled_copies_are_retried_for_half_a_day(built_in: dict[str, Any], sample: Template) -> None:
    for copy in (built_in["States"]["CopyPayload"], definition(sample)["States"]["CopyPayload"]):
        throttled = copy["Retry"][1]
        assert throttled["ErrorEquals"] == [
            "Lambda.TooManyRequestsException",
            "Lambda.ClientExecutionTimeoutException",
            "Lambda.ServiceException",
            "Lambda.AWSLambdaException",
            "Lambda.SdkClientException",
        ]
        assert 12 <= average_hours(throttled) < 13
    # An execution has a year, Step Functions' maximum.
    assert "TimeoutSeconds" not in built_in


def test_rejected_events_are_retried_for_hours(built_in: dict[str, Any]) -> None:
    (retrier,) = built_in["States"]["PublishResult"]["Retry"]
    assert retrier["ErrorEquals"] == ["States.ALL"]
    assert 2 <= average_hours(retrier) < 3
