"""Accounts of the shared emulator, and an emulator without patches, for comparison."""

from collections.abc import Iterator

import pytest

from local.accounts import Accounts
from local.emulator import Emulator
from tests.local.support import FAR, OTHER, PUBLISHER, SUBSCRIBER, Account


@pytest.fixture(scope="session")
def unpatched_emulator() -> Iterator[Emulator]:
    """If a test with this emulator fails, ministack was fixed and a patch can be removed."""
    with Emulator(patched=False) as running:
        yield running


@pytest.fixture(scope="session")
def unpatched(unpatched_emulator: Emulator) -> Accounts:
    return Accounts(unpatched_emulator)


@pytest.fixture(scope="session")
def unpatched_account(unpatched: Accounts) -> Account:
    return Account(unpatched, PUBLISHER)


@pytest.fixture(scope="session")
def publisher(accounts: Accounts) -> Account:
    return Account(accounts, PUBLISHER)


@pytest.fixture(scope="session")
def subscriber(accounts: Accounts) -> Account:
    return Account(accounts, SUBSCRIBER, FAR)


@pytest.fixture(scope="session")
def other_account(accounts: Accounts) -> Account:
    return Account(accounts, OTHER)
