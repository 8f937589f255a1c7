"""Accounts of the shared emulator, and an emulator without patches, for comparison."""

from collections.abc import Iterator

import pytest

from local.accounts import Accounts
from local.emulator import Emulator
from tests.local.aws_accounts import AwsAccounts
from tests.local.support import FAR, NEAR, OTHER, PUBLISHER, SUBSCRIBER, Account


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
def aws(request: pytest.FixtureRequest) -> Iterator[AwsAccounts | None]:
    """The accounts of `--world aws`, where resources are deleted at the end, or None."""
    option = request.config.getoption
    if option("--world") == "emulated":
        yield None
        return
    with AwsAccounts(option("--profile"), region=NEAR, propagation=option("--propagation")) as accounts:
        yield accounts


@pytest.fixture(scope="session")
def publisher(aws: AwsAccounts | None, request: pytest.FixtureRequest) -> Account:
    return Account(aws, aws.numbers[0]) if aws else Account(request.getfixturevalue("accounts"), PUBLISHER)


@pytest.fixture(scope="session")
def subscriber(aws: AwsAccounts | None, request: pytest.FixtureRequest) -> Account:
    if not aws:
        return Account(request.getfixturevalue("accounts"), SUBSCRIBER, FAR)
    if len(aws.numbers) < 2:
        pytest.skip("needs the --profile of a second account")
    return Account(aws, aws.numbers[1], FAR)


@pytest.fixture(scope="session")
def other_account(accounts: Accounts) -> Account:
    return Account(accounts, OTHER)
