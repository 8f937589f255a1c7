"""SHA-256 of a stream: large payloads have a thread, which always ends."""

from __future__ import annotations

import hashlib
import threading

import pytest

from claim_check.receiving.digest import StreamDigest
from claim_check.s3.client import MIB


def threads() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread.name == "digest"}


@pytest.mark.parametrize(("size", "more"), [(8 * MIB, 1), (8 * MIB - 1, 0)])
def test_large_payload_is_digested_by_a_thread(size: int, more: int) -> None:
    before = threads()
    with StreamDigest(size) as digest:
        mine = threads() - before
        assert len(mine) == more
        assert all(thread.daemon for thread in mine)
        for _ in range(9):
            digest.update(b"abc")
        assert digest.hexdigest() == hashlib.sha256(b"abc" * 9).hexdigest()
    assert threads() == before


def test_interrupt_ends_the_thread() -> None:
    before = threads()
    with pytest.raises(KeyboardInterrupt), StreamDigest(8 * MIB):
        raise KeyboardInterrupt
    assert threads() == before
