"""SHA-256 beside the network: on a thread where that pays, and never one left behind."""

from __future__ import annotations

import hashlib
import threading

import pytest

from claim_check.receiving.digest import StreamDigest
from claim_check.s3.client import MIB


def threads() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread.name == "digest"}


@pytest.mark.parametrize(("size", "more"), [(8 * MIB, 1), (8 * MIB - 1, 0)])
def test_a_large_payload_has_a_thread_of_its_own(size: int, more: int) -> None:
    before = threads()
    with StreamDigest(size) as digesting:
        mine = threads() - before
        assert len(mine) == more
        assert all(thread.daemon for thread in mine)
        for _ in range(9):
            digesting.update(b"abc")
        assert digesting.hexdigest() == hashlib.sha256(b"abc" * 9).hexdigest()
    assert threads() == before


def test_an_interrupted_payload_leaves_no_thread() -> None:
    before = threads()
    with pytest.raises(KeyboardInterrupt), StreamDigest(8 * MIB):
        raise KeyboardInterrupt
    assert threads() == before
