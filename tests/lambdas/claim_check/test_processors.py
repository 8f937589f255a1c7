"""The connections of one large payload, by the share of a processor."""

from pathlib import Path

import pytest

from claim_check.processors import connections_for


@pytest.mark.parametrize(
    ("memory", "connections"),
    [("128", 2), ("512", 4), ("1024", 9), ("1769", 16), ("10240", 16), ("0", 2), ("", 16), ("a", 16)],
)
def test_small_functions_have_fewer_connections(memory: str, connections: int, tmp_path: Path) -> None:
    assert connections_for({"AWS_LAMBDA_FUNCTION_MEMORY_SIZE": memory}, tmp_path / "none") == connections


@pytest.mark.parametrize(
    ("quota", "connections"),
    [
        ("25000 100000\n", 4),
        ("200000 100000\n", 16),
        ("max 100000\n", 16),
        ("1 0\n", 16),
        ("", 16),
    ],
)
def test_containers_with_a_quota_have_fewer_connections(quota: str, connections: int, tmp_path: Path) -> None:
    (tmp_path / "cpu.max").write_text(quota)
    assert connections_for({}, tmp_path / "cpu.max") == connections


def test_without_a_known_share_all_connections_are_used(tmp_path: Path) -> None:
    assert connections_for({}, tmp_path / "none") == 16
