"""One emulator with its gaps filled, and one as it comes, for all tests of this folder."""

from collections.abc import Iterator

import pytest

from local.accounts import Accounts
from local.emulator import Emulator
from tests.local.support import FAR, PUBLISHER, STRANGER, SUBSCRIBER, Account


@pytest.fixture(scope="session")
def emulator() -> Iterator[Emulator]:
    with Emulator() as running:
        yield running


@pytest.fixture(scope="session")
def accounts(emulator: Emulator) -> Accounts:
    return Accounts(emulator)


@pytest.fixture(scope="session")
def bare_emulator() -> Iterator[Emulator]:
    """ministack with no gap filled: a test of it that fails says that a gap has closed upstream."""
    with Emulator(patched=False) as running:
        yield running


@pytest.fixture(scope="session")
def bare(bare_emulator: Emulator) -> Accounts:
    return Accounts(bare_emulator)


@pytest.fixture(scope="session")
def publisher(accounts: Accounts) -> Account:
    return Account(accounts, PUBLISHER)


@pytest.fixture(scope="session")
def subscriber(accounts: Accounts) -> Account:
    return Account(accounts, SUBSCRIBER, FAR)


@pytest.fixture(scope="session")
def stranger(accounts: Accounts) -> Account:
    return Account(accounts, STRANGER)
