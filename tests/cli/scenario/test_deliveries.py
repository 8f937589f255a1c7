"""The wait for payloads at subscribers."""

from typing import Any

from cli.scenario.deliveries import follow
from tests.cli.scenario.test_report import ARRIVAL, DEPLOYMENT, report


class Arrivals:
    """Arrivals at `billing` alone."""

    def at(self, subscriber: Any, message_ids: Any) -> Any:
        return {ARRIVAL.message_id: ARRIVAL} if subscriber.name == "billing" else {}


def test_wait_ends_without_subscribers_of_other_messages() -> None:
    billing = DEPLOYMENT.subscribers[1]
    orders = DEPLOYMENT.subscribers[0].model_copy(update={"filter_policy": '{"source":["shop"]}'})
    (sent,) = [each.submission for each in report().payloads]
    seen: list[str] = []
    (payload,) = follow(
        Arrivals(),  # type: ignore[arg-type]
        [orders, billing],
        [sent],
        log_is_readable=False,
        seconds=3600,
        progress=lambda _, subscriber: seen.append(subscriber.name),
    )
    assert seen == [*payload.arrivals] == ["billing"]
