"""The stack of a subscriber with an HTTPS endpoint: a role, a queue and a subscription."""

from datetime import timedelta

from claim_check.https import WINDOW
from stacks.deployment.subscriber import DELIVERY_POLICY


def test_retries_end_while_a_notification_is_recent() -> None:
    policy = DELIVERY_POLICY["healthyRetryPolicy"]
    numbers = {name: value for name, value in policy.items() if isinstance(value, int)}
    retries, first = numbers["numRetries"], numbers["numMinDelayRetries"]
    delays = first * numbers["minDelayTarget"] + (retries - first) * numbers["maxDelayTarget"]
    assert numbers["numNoDelayRetries"] + first + numbers["numMaxDelayRetries"] <= retries <= 100
    assert 1800 < delays <= 3600  # SNS's limit, and well beyond its default of a minute
    assert timedelta(seconds=delays + 15 * (retries + 1)) < WINDOW
