"""Text that SNS accepts and rejects."""

from __future__ import annotations

import pytest

from claim_check.wire.text import is_publishable, publishable_text


def test_publishable_characters_are_those_of_xml() -> None:
    rejected = {number for number in range(0x11_000) if not is_publishable(chr(number))}
    assert rejected == {*range(0x20), *range(0xD800, 0xE000), 0xFFFE, 0xFFFF} - {0x09, 0x0A, 0x0D}
    assert is_publishable(chr(0x10FFFF))


@pytest.mark.parametrize("around", ["{}", "abc{}", "ä{}", "{}ä"])
def test_one_rejected_character_makes_text_unpublishable(around: str) -> None:
    assert publishable_text(around.format("\n").encode()) == around.format("\n")
    assert publishable_text(around.format("\x00").encode()) is None


@pytest.mark.parametrize("data", [b"", b"\xff", "\ud800".encode("utf-8", "surrogatepass")])
def test_bytes_without_text_are_unpublishable(data: bytes) -> None:
    assert publishable_text(data) is None
