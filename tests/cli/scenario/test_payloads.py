"""Files that the scenario sends."""

from pathlib import Path

import pytest

from cli.scenario.payloads import generated_file, installed_file, parse_size, read_file


@pytest.mark.parametrize(
    ("text", "size"), [("2GiB", 2 * 2**30), ("300 MB", 300_000_000), ("1048576", 1048576), ("5kib", 5120)]
)
def test_size_is_parsed(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "big", "-1GB", "1.5GB", "2 parsecs"])
def test_invalid_size_is_rejected(text: str) -> None:
    with pytest.raises(ValueError, match="is not a size"):
        parse_size(text)


def test_generated_file_is_described_and_deleted(tmp_path: Path) -> None:
    with generated_file(2**20 + 1, tmp_path) as payload:
        assert read_file(payload.path) == payload
        assert payload.bytes == 2**20 + 1
    assert not payload.path.exists()


def test_installed_file_needs_several_parts() -> None:
    assert installed_file().bytes > 10 * 2**20
