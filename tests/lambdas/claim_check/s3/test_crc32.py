"""CRC32 of parts together."""

from __future__ import annotations

import base64
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from claim_check.s3.crc32 import base64_crc32, combined_crc32


@given(st.lists(st.binary(max_size=300), max_size=5))
def test_combined_crc32_equals_the_crc32_of_the_whole(parts: list[bytes]) -> None:
    whole = 0
    for part in parts:
        whole = combined_crc32(whole, zlib.crc32(part), len(part))
    assert whole == zlib.crc32(b"".join(parts))


@pytest.mark.parametrize("size", [1, 255, 256, 5 * 2**20, 2**24 + 1])
def test_crc32_of_long_parts_is_combined(size: int) -> None:
    assert combined_crc32(zlib.crc32(b"abc"), zlib.crc32(bytes(size)), size) == zlib.crc32(b"abc" + bytes(size))


def test_crc32_in_the_form_of_s3_is_big_endian() -> None:
    assert base64.b64decode(base64_crc32(0x01020304)) == b"\x01\x02\x03\x04"
