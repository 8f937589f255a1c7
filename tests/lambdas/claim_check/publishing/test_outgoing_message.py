"""Message groups from any name."""

import hashlib

import pytest

from claim_check import group_id_of


@pytest.mark.parametrize(
    ("name", "group"),
    [
        ("shop.orders", "shop.orders"),
        ("Kunde Müller", hashlib.sha256("Kunde Müller".encode()).hexdigest()),
        ("my app", hashlib.sha256(b"my app").hexdigest()),
        ("", hashlib.sha256(b"").hexdigest()),
        ("x" * 128, "x" * 128),
        ("x" * 129, hashlib.sha256(b"x" * 129).hexdigest()),
    ],
)
def test_group_is_the_name_or_its_digest(name: str, group: str) -> None:
    assert group_id_of(name) == group
