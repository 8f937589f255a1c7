"""Entry points with messages that a filter policy can match."""

import json
from typing import Any

import pytest

from publish.upload import UPLOAD_SOURCE
from stacks.deployment import Deployment, filter_reach, parse_messaging
from stacks.deployment.filter_reach import matches, reaching
from tests.stacks.deployment.samples import publisher

ALL, LIBRARY = {"bus", "outbox", "library"}, {"library"}


@pytest.fixture(scope="module")
def deployment() -> Deployment:
    return parse_messaging(publisher(detail_types=["order.placed"], outbox={"attributes": ["kind"]}))


@pytest.mark.parametrize(
    ("policy", "entry_points"),
    [
        ({"source": ["shop"]}, {"bus", "library"}),
        ({"source": ["outbox"]}, {"outbox", "library"}),
        ({"source": ["Outbox", "aws.s3"]}, LIBRARY),
        ({"source": [{"prefix": "out"}]}, ALL),
        ({"source": [{"anything-but": ["outbox"]}]}, {"bus", "library"}),
        ({"source": ["aws.partner/x"]}, {"bus", "library"}),
        ({"detail-type": ["order.placed"]}, {"bus", "library"}),
        ({"detail-type": ["Order placed"]}, LIBRARY),
        ({"detail-type": [{"wildcard": "*.placed"}, {"suffix": "x"}]}, {"bus", "library"}),
        ({"detail-type": [{"equals-ignore-case": "ORDER.PLACED"}]}, {"bus", "library"}),
        ({"detail-type": [{"exists": False}]}, {"outbox", "library"}),
        ({"account": ["999999999999"]}, LIBRARY),
        ({"account": [{"anything-but": {"prefix": "9"}}]}, ALL),
        ({"sender": ["shop"]}, {"outbox", "library"}),
        ({"sender": ["shpo"]}, LIBRARY),
        ({"kind": ["scan"]}, {"outbox", "library"}),
        ({"patient": ["1"]}, LIBRARY),
        ({"time": [{"prefix": "2026"}], "resources": ["arn:1"]}, {"bus", "library"}),
        ({"time": [{"prefix": "2026"}], "sender": ["shop"]}, LIBRARY),
        ({"$or": [{"detail-type": ["order.placed"]}, {"sender": ["shop"]}]}, ALL),
        ({"order type": ["x"]}, set()),
        ({"a..b": [{"exists": True}]}, set()),
        ({"AWS.x": ["x"], "source": ["shop"]}, set()),
        ({"kind": [""]}, set()),
        ({"order type": [{"exists": False}]}, ALL),
    ],
    ids=lambda value: json.dumps(value) if isinstance(value, dict) else "",
)
def test_policy_reaches_entry_points(deployment: Deployment, policy: dict[str, Any], entry_points: set[str]) -> None:
    assert set(reaching(deployment, json.dumps(policy))) == entry_points


@pytest.mark.parametrize(
    ("policy", "matched"),
    [
        ({"source": ["outbox"], "sender": [{"prefix": "sh"}]}, True),
        ({"source": ["outbox"], "sender": ["Shop"]}, False),
        ({"kind": [{"exists": False}]}, True),
        ({"sender": [{"exists": False}]}, False),
        ({"kind": [{"anything-but": ["scan"]}]}, False),
        ({"sender": [{"anything-but": ["scan"]}]}, True),
        ({"$or": [{"kind": ["scan"]}, {"sender": ["shop"]}]}, True),
        ({"sender": [{"numeric": [">", 1]}]}, False),
    ],
    ids=json.dumps,
)
def test_policy_matches_attributes(policy: dict[str, Any], matched: bool) -> None:
    assert matches(json.dumps(policy), {"source": "outbox", "sender": "shop"}) is matched


def test_metadata_have_lower_case_names() -> None:
    """Without chosen names, each is possible that S3 returns."""
    deployment = parse_messaging(publisher())
    assert set(reaching(deployment, '{"kind": ["scan"]}')) == {"outbox", "library"}
    assert set(reaching(deployment, '{"Kind": ["scan"]}')) == LIBRARY


def test_publisher_without_offloading_has_no_uploads() -> None:
    deployment = parse_messaging(publisher(offload="never"))
    assert set(reaching(deployment, '{"source": ["outbox"]}')) == LIBRARY


def test_source_of_uploads_is_the_functions() -> None:
    assert filter_reach.UPLOAD_SOURCE == UPLOAD_SOURCE
