"""Payload lifetime: delays of pointers."""

import pytest

from stacks.deployment import parse_messaging
from stacks.deployment.payload_lifetime import days_until_forgotten, pointer_delays
from tests.stacks.deployment.samples import VALID, changed, https, orders, problem, problems, publisher


def test_delays_are_summed_for_each_kind() -> None:
    deployment = parse_messaging(https())
    assert [sum(pointer_delays(subscriber).values()) for subscriber in deployment.subscribers] == [71, 82, 31]


def test_too_short_lifetime_is_reported_with_all_stages() -> None:
    line = problems(publisher(payload_lifetime_days=70))[0]
    assert line == (
        'publisher.payload_lifetime_days = 70: a pointer can be delivered to subscribers[0] ("orders") up to 71 days '
        "late (publish retries 2 + publish dead letters 14 + SNS retries 23 + undelivered queue 14 + queue 4 + "
        "dead-letter queue 14), after its payload has expired. Use at least 71, or set accept_expired_pointers = true."
    )


def test_landing_adds_the_executions_stages() -> None:
    table = orders(landing={}) | {"publisher": VALID["publisher"] | {"payload_lifetime_days": 85}}
    assert "queue 4 + dead-letter queue 14 + execution retries 1 + execution redrive 14)" in problem(table)


@pytest.mark.parametrize("days", [82, 101])
def test_lifetime_of_at_least_the_sum_is_accepted(days: int) -> None:
    assert parse_messaging(publisher(payload_lifetime_days=days)).publisher.payload_lifetime_days == days


def test_short_lifetime_is_accepted_with_accept_expired_pointers() -> None:
    assert parse_messaging(publisher(payload_lifetime_days=1, accept_expired_pointers=True))


def test_archive_after_the_lifetime_is_reported() -> None:
    assert problem(publisher(glacier_after_days=101)).startswith(
        "publisher.glacier_after_days = 101: payloads expire after publisher.payload_lifetime_days = 101. Use less"
    )


@pytest.mark.parametrize(("days", "expected"), [(1, 82), (101, 101)])
def test_message_is_forgotten_after_lifetime_and_delays(days: int, expected: int) -> None:
    _, billing = parse_messaging(VALID).subscribers
    assert days_until_forgotten(billing, payload_lifetime_days=days) == expected


def test_size_of_uploads_does_not_depend_on_a_timeout() -> None:
    """The consume functions read no payload."""
    assert parse_messaging(changed("publisher", "outbox", to={"maximum_bytes": 500 * 1024**3}))
