"""Clients of the emulated accounts."""

import pytest

from local.accounts import Accounts
from tests.local.support import NEAR, PUBLISHER, SUBSCRIBER, Account

pytestmark = pytest.mark.system


def _identity(accounts: Accounts, account: str, role: str | None = None) -> str:
    arn: str = accounts.client("sts", account=account, region=NEAR, role=role).get_caller_identity()["Arn"]
    return arn


def test_client_is_root_or_role(accounts: Accounts, publisher: Account) -> None:
    role = publisher.role()

    assert _identity(accounts, PUBLISHER) == f"arn:aws:iam::{PUBLISHER}:root"
    for name in (role, publisher.role_arn(role)):
        assert _identity(accounts, PUBLISHER, name) == f"arn:aws:sts::{PUBLISHER}:assumed-role/{role}/local"


def test_client_is_created_once(accounts: Accounts) -> None:
    first, second = (accounts.client("sqs", account=PUBLISHER, region=NEAR) for _ in range(2))

    assert first is second
    assert first is not accounts.client("sqs", account=SUBSCRIBER, region=NEAR)


@pytest.mark.parametrize("account", ["", "publisher", "1234", "1111111111111"])
def test_account_without_12_digits_is_rejected(accounts: Accounts, account: str) -> None:
    with pytest.raises(ValueError, match="12 digits"):
        accounts.client("sts", account=account, region=NEAR)
