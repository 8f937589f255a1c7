"""Quotas: names and policies that are too long."""

from typing import Any

import pytest

from local.environment import ROOT
from tests.stacks.deployment.samples import ORDERS, PARTNER, billing, changed, https, orders, problems, publisher

CODE = str(ROOT / "applications" / "count_lines")


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        (changed("name", to="c" * 32), "the payload bucket's name \""),
        (changed("name", to="c" * 40), "the archive's name"),
        (changed("name", to="c" * 60), "the publish function's name"),
        (publisher(replicas=["us-west-2"]) | {"name": "c" * 32}, "the replica's name"),
        (changed("senders", 0, "name", to="s" * 60), f'senders[0].name = "{"s" * 60}": the sender role\'s name'),
        (orders(name="o" * 30), "the staging bucket's name"),
        (
            orders(name="o" * 23, landing={}),
            f'subscribers[0].name = "{"o" * 23}": the landing bucket\'s name "coatcheck-{"o" * 23}-landing-'
            '222222222222-us-west-2" has 64 characters. AWS allows 63. Shorten it.',
        ),
        (orders(name="o" * 60), "the reader role's name"),
        (orders(name="o" * 60), "the consume function's name"),
        (orders(name="o" * 70), "the undelivered queue's name"),
        (orders(name="o" * 70), "the dead-letter queue's name"),
        (
            https(reader_principals=[f"arn:aws:iam::555555555555:role/{n:064}" for n in range(37)]),
            "subscribers[2].reader_principals: have 3515 characters together. Use at most 3500: the role's trust",
        ),
        (
            orders(code={"folder": CODE, "environment": {"TEXT": "ä" * 1_500}}),
            "subscribers[0].code.environment: has 3012 bytes. Use at most 3000: Lambda allows 4 KB",
        ),
        (
            billing(code={"folder": CODE, "environment": {"TEXT": "x" * 2_100}}),
            "subscribers[1].code.environment: has 2112 bytes. Use at most 2100: Lambda allows 4 KB",
        ),
        (
            changed("senders", to=[{"name": f"s{n}", "account": f"{n:012}"} for n in range(26)]),
            "senders: are in 26 accounts. Use at most 25",
        ),
        (
            changed("subscribers", to=[ORDERS | {"name": f"s{n}"} for n in range(29)]),
            "subscribers: there are 30 subscribers and senders. Use at most 29",
        ),
        (
            changed(
                "subscribers",
                to=[PARTNER | {"name": n, "endpoint": f"https://{n}.example/".ljust(1502, "x")} for n in "abcd"],
            ),
            "subscribers: their endpoints have 6008 characters together. Use at most 6000",
        ),
        (publisher(detail_types=[f"{n:0100}" for n in range(25)]), "publisher.detail_types: 25 detail-types make an"),
    ],
)
def test_exceeded_quota_is_reported(table: dict[str, Any], expected: str) -> None:
    lines = problems(table)
    assert [line for line in lines if expected in line], lines
