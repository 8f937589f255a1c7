"""Sizes in bytes."""

import pytest

from cli.sizes import parse_size


@pytest.mark.parametrize(
    ("text", "size"), [("2GiB", 2 * 2**30), ("300 MB", 300_000_000), ("1048576", 1048576), ("5kib", 5120)]
)
def test_size_is_parsed(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "big", "-1GB", "1.5GB", "2 parsecs"])
def test_invalid_size_is_rejected(text: str) -> None:
    with pytest.raises(ValueError, match="is not a size"):
        parse_size(text)
