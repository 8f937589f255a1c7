"""The connections of one large payload, by the share of a processor."""

from pathlib import Path

import pytest

from claim_check.processors import is_own_region, processor_share, publishing_connections, reading_connections


@pytest.mark.parametrize(
    ("memory", "share"),
    [("512", 512 / 1769), ("1769", 1), ("10240", 1), ("0", 0), ("", 1), ("a", 1)],
)
def test_share_of_a_function_follows_from_its_memory(memory: str, share: float, tmp_path: Path) -> None:
    assert processor_share({"AWS_LAMBDA_FUNCTION_MEMORY_SIZE": memory}, tmp_path / "none") == share


@pytest.mark.parametrize(
    ("quota", "share"),
    [("25000 100000\n", 0.25), ("200000 100000\n", 1), ("max 100000\n", 1), ("1 0\n", 1), ("", 1)],
)
def test_share_of_a_container_is_its_quota(quota: str, share: float, tmp_path: Path) -> None:
    (tmp_path / "cpu.max").write_text(quota)
    assert processor_share({}, tmp_path / "cpu.max") == share


def test_process_without_a_limit_has_a_whole_processor(tmp_path: Path) -> None:
    assert processor_share({}, tmp_path / "none") == 1


@pytest.mark.parametrize(
    ("mb", "publishing", "reading"),
    [(0, 2, 2), (128, 2, 2), (512, 4, 2), (1024, 9, 4), (1768, 15, 7), (1769, 16, 16)],
)
def test_small_functions_have_fewer_connections(mb: int, publishing: int, reading: int) -> None:
    assert (publishing_connections(mb / 1769), reading_connections(mb / 1769)) == (publishing, reading)


@pytest.mark.parametrize("name", ["AWS_REGION", "AWS_DEFAULT_REGION"])
def test_own_region_is_the_one_in_the_environment(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for other in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(other, raising=False)
    assert not is_own_region("eu-west-1")
    monkeypatch.setenv(name, "eu-west-1")
    assert is_own_region("eu-west-1")
    assert not is_own_region("eu-west-2")
