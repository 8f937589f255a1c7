"""Compression: what is expanded is what was compressed, and no more."""

from __future__ import annotations

import gzip
import os
import tracemalloc
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from claim_check import PayloadCorrupt
from claim_check.compression import Compressor, expand

MIB = 2**20


def compressed(*chunks: bytes) -> bytes:
    return b"".join(Compressor(chunks).compressed())


def expanded(data: bytes, size: int, *, step: int = 1000) -> bytes:
    pieces = (memoryview(data)[start : start + step] for start in range(0, len(data), step))
    return b"".join(expand(pieces, expanded=size, message_id="m-1"))


@given(st.lists(st.binary(max_size=50)), st.integers(1, 30))
def test_every_payload_is_expanded(chunks: list[bytes], step: int) -> None:
    data = b"".join(chunks)
    assert expanded(compressed(*chunks), len(data), step=step) == data


@pytest.mark.parametrize("size", [0, 1, MIB - 1, MIB, MIB + 1, 3 * MIB])
def test_large_payloads_are_expanded(size: int) -> None:
    for data in (bytes(size), os.urandom(size)):
        assert expanded(compressed(data), size, step=MIB) == data
        assert expanded(gzip.compress(data), size, step=MIB) == data
        assert gzip.decompress(compressed(data)) == data


def test_compression_is_reproducible_and_counted() -> None:
    first, second = Compressor([b"ab", b"", b"c"]), Compressor([b"a", b"bc"])
    assert b"".join(first.compressed()) == b"".join(second.compressed())
    assert first.expanded == second.expanded == 3


DATA = b"payload" * 100
GOOD = compressed(DATA)


@pytest.mark.parametrize(
    ("data", "size", "problem"),
    [
        (GOOD[:-1], len(DATA), "less than 700 expanded bytes"),
        (GOOD[:-9], len(DATA), "less than"),
        (GOOD, len(DATA) + 1, "less than 701"),
        (b"", len(DATA), "less than"),
        (b"", 0, "less than 0"),
        (GOOD, len(DATA) - 1, "more than 699 expanded bytes"),
        (GOOD + b"x", len(DATA), "more than"),
        (GOOD + GOOD, len(DATA), "more than"),
        (DATA, len(DATA), "is not valid gzip"),
        (GOOD[:-5] + b"x" + GOOD[-4:], len(DATA), "is not valid gzip"),
        (GOOD[:-1] + b"x", len(DATA), "is not valid gzip"),
    ],
    ids=range(11),
)
def test_other_bytes_are_corrupt(data: bytes, size: int, problem: str) -> None:
    for step in (1, 7, 1000):
        with pytest.raises(PayloadCorrupt, match=problem) as caught:
            expanded(data, size, step=step)
        assert caught.value.message_id == "m-1"


def test_expansion_stops_at_the_declared_size() -> None:
    """A bomb of 50 MiB in 50 KB is neither held nor returned."""
    bomb = compressed(*[bytes(MIB)] * 50)
    assert len(bomb) < 60_000
    sizes: list[int] = []
    pieces = expand([bomb], expanded=2 * MIB, message_id="m-1")
    tracemalloc.start()
    with pytest.raises(PayloadCorrupt, match="more than 2097152"):
        sizes.extend(map(len, pieces))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert sizes == [MIB]
    assert peak < 6 * MIB


@pytest.mark.parametrize("left", [1, 8, 9, 100])
def test_last_bytes_follow_the_end_of_the_pieces(left: int) -> None:
    """The stored bytes are compared before their last piece, which can have a part of gzip's trailer only."""

    def pieces() -> Iterator[bytes]:
        yield stored[:-left]
        raise PayloadCorrupt("other digest")

    data = os.urandom(3 * MIB)
    stored = compressed(data)
    sizes: list[int] = []
    with pytest.raises(PayloadCorrupt, match="other digest"):
        sizes.extend(map(len, expand(pieces(), expanded=len(data), message_id="m-1")))
    assert 0 < sum(sizes) < len(data)


def test_compressor_holds_one_chunk() -> None:
    def chunks() -> Iterator[bytes]:
        for _ in range(20):
            yield os.urandom(MIB)

    tracemalloc.start()
    total = sum(map(len, Compressor(chunks()).compressed()))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert total > 20 * MIB
    assert peak < 6 * MIB
