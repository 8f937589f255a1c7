"""Accounts of the shared emulator, or of AWS."""

from collections.abc import Iterator

import pytest

from local.accounts import Accounts
from tests.local.aws_accounts import AwsAccounts
from tests.local.support import FAR, NEAR, OTHER, PUBLISHER, SUBSCRIBER, Account


@pytest.fixture(autouse=True)
def short_waits(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without its patch, most of what a test waits for never happens."""
    if request.config.getoption("--world") == "unpatched":
        monkeypatch.setattr("tests.local.support.LONGEST_WAIT_SECONDS", 5.0)


@pytest.fixture(scope="session")
def aws(request: pytest.FixtureRequest) -> Iterator[AwsAccounts | None]:
    """The accounts of `--world aws`, where resources are deleted at the end, or None."""
    option = request.config.getoption
    if option("--world") != "aws":
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
