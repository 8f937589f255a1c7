"""Clients of the emulated accounts."""

import pytest
from botocore.exceptions import ClientError

from local.accounts import Accounts
from tests.local.support import NEAR, PUBLISHER, SUBSCRIBER, Account, document, root


def _identity(accounts: Accounts, account: str, role: str | None = None) -> str:
    arn: str = accounts.client("sts", account=account, region=NEAR, role=role).get_caller_identity()["Arn"]
    return arn


@pytest.mark.system
def test_a_client_is_its_accounts_root_or_a_role(accounts: Accounts, publisher: Account) -> None:
    role = publisher.role()

    assert _identity(accounts, PUBLISHER) == f"arn:aws:iam::{PUBLISHER}:root"
    for name in (role, publisher.role_arn(role)):
        assert _identity(accounts, PUBLISHER, name) == f"arn:aws:sts::{PUBLISHER}:assumed-role/{role}/local"


@pytest.mark.system
def test_a_roles_trust_is_checked(accounts: Accounts, publisher: Account) -> None:
    trust = document({"Action": "sts:AssumeRole", "Principal": root(PUBLISHER)})
    publisher.client("iam").create_role(RoleName="trusts-publisher", AssumeRolePolicyDocument=trust)
    arn = publisher.role_arn("trusts-publisher")

    assert _identity(accounts, PUBLISHER, arn).endswith("/trusts-publisher/local")
    with pytest.raises(ClientError, match="AccessDenied"):
        _identity(accounts, SUBSCRIBER, arn)


@pytest.mark.system
def test_a_client_is_made_once(accounts: Accounts) -> None:
    first, again = (accounts.client("sqs", account=PUBLISHER, region=NEAR) for _ in range(2))

    assert first is again
    assert first is not accounts.client("sqs", account=SUBSCRIBER, region=NEAR)


@pytest.mark.system
def test_the_users_own_profile_stays_out_of_it(accounts: Accounts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "missing")
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")

    assert accounts.client("kms", account=PUBLISHER, region=NEAR).list_keys()["Keys"] is not None


@pytest.mark.parametrize("account", ["", "publisher", "1234", "1111111111111"])
def test_an_account_has_twelve_digits(accounts: Accounts, account: str) -> None:
    with pytest.raises(ValueError, match="12 digits"):
        accounts.client("sts", account=account, region=NEAR)
