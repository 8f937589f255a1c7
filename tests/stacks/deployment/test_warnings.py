"""Warnings about a subscriber's settings."""

import re
from pathlib import Path
from typing import Any

import pytest

from stacks.deployment import parse_messaging
from stacks.deployment.warnings import READ_BYTES_PER_SECOND, warnings
from tests.stacks.deployment.samples import publisher


def warned(folder: Path, *, own: dict[str, Any], **keys: Any) -> list[str]:
    """Return the ids of the warnings about one subscriber with these keys, of a publisher with other ones."""
    (folder / "application.py").write_text("def process(message): ...\n")
    table = publisher(**keys)
    table["subscribers"] = [{"name": "a", "kind": "sqs", "account": "2" * 12, "region": "us-east-1", **own}]
    deployment = parse_messaging(table, folder / "deployment.toml")
    found = list(warnings(deployment, deployment.subscribers[0]))
    assert all(re.match(r'subscribers\[0\]\.\S+( = \d+)?, of "a": ', text) for _, text in found), found
    return [name for name, _ in found]


@pytest.mark.parametrize(
    ("policy", "ids"),
    [({"source": ["shop"]}, []), ({"sender": ["shpo"]}, ["filter-policy"])],
    ids=["events", "library alone"],
)
def test_filter_of_library_messages_alone_is_warned_of(tmp_path: Path, policy: Any, ids: list[str]) -> None:
    assert warned(tmp_path, own={"filter_policy": policy}) == ids


@pytest.mark.parametrize(
    ("timeout", "maximum", "ids"),
    [(50, 50 * READ_BYTES_PER_SECOND, []), (50, 50 * READ_BYTES_PER_SECOND + 1, ["code-timeout"])],
)
def test_own_code_needs_time_to_read_the_largest_upload(
    tmp_path: Path, timeout: int, maximum: int, ids: list[str]
) -> None:
    code = {"folder": ".", "timeout_seconds": timeout}
    assert warned(tmp_path, own={"code": code}, outbox={"maximum_bytes": maximum}) == ids
    assert warned(tmp_path, own={}, outbox={"maximum_bytes": maximum}) == []


def test_own_code_without_uploads_needs_no_time_for_them(tmp_path: Path) -> None:
    assert warned(tmp_path, own={"code": {"folder": "."}}, offload="never") == []


@pytest.mark.parametrize(("count", "ids"), [(30, []), (40, ["reader-principals"])])
def test_trust_policy_over_the_default_quota_is_warned_of(tmp_path: Path, count: int, ids: list[str]) -> None:
    readers = [f"arn:aws:iam::222222222222:role/service-{n:010}" for n in range(count)]
    assert warned(tmp_path, own={"application": "queue", "reader_principals": readers}) == ids
