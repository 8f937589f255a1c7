"""Which profile is used for which account."""

from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from botocore.config import Config

from cli import profiles
from cli.profiles import Caller, NoCredentials, ProfileClients, ProfileError, caller_of, find_callers

REGIONS = {"1" * 12: "us-east-1", "2" * 12: "us-east-1"}
OF = {None: "1" * 12, "prod": "1" * 12, "orders": "2" * 12, "other": "9" * 12}
CONFIG = """
[profile sso]
sso_account_id = 222222222222
[profile role]
role_arn = arn:aws:iam::333333333333:role/a
[profile keys]
aws_access_key_id = 111111111111
"""


@pytest.fixture(autouse=True)
def identities(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def fake(given: str | None, *, region: str) -> Caller:
        profile = given.rpartition("=")[2] if given else None
        if profile not in OF and profile != "sso":
            raise ProfileError(f"--profile {profile}: expired")
        account = OF.get(profile, "2" * 12)
        if given and not f"{account}={profile}".endswith(given):
            raise ProfileError(f"--profile {given}: is of account {account}.")
        return Caller(profile, account, f"arn:aws:iam::{account}:root", None)

    monkeypatch.setattr(profiles, "caller_of", fake)
    (tmp_path / "config").write_text(CONFIG)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))


def found(*names: str) -> tuple[dict[str, Any], list[str]]:
    callers, problems = find_callers(names, REGIONS)
    return {account: caller.profile for account, caller in callers.items()}, problems


def test_profiles_are_assigned_by_their_accounts() -> None:
    assert found("prod", "222222222222=orders") == ({"1" * 12: "prod", "2" * 12: "orders"}, [])


def test_default_is_the_user_s_configuration() -> None:
    """The default credentials, then the profile that names another account."""
    assert found() == ({"1" * 12: None, "2" * 12: "sso"}, [])


def test_default_credentials_precede_profiles(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in the AWS CLI: a profile in the configuration can have other permissions."""
    monkeypatch.setitem(OF, None, "2" * 12)
    assert found() == ({"2" * 12: None}, [])


def test_no_profile_is_chosen_among_several(tmp_path: Path) -> None:
    (tmp_path / "config").write_text(f"{CONFIG}[profile reader]\nrole_arn = arn:aws:iam::222222222222:role/reader\n")
    callers, problems = found()
    assert callers == {"1" * 12: None}
    assert problems == ["account 222222222222: is of the profiles sso, reader. Give --profile with one of them."]


def test_useless_profiles_are_reported_and_skipped() -> None:
    callers, findings = found("expired", "222222222222=prod", "other", "orders", "222222222222=sso")
    assert callers == {"2" * 12: "orders"}
    assert findings == [
        "--profile expired: expired",
        "--profile 222222222222=prod: is of account 111111111111.",
        "--profile other: account 999999999999 has no stack of the deployment.",
        "--profile 222222222222=sso: is of account 222222222222, as orders. Remove one.",
    ]


def test_useless_default_credentials_are_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_CONFIG_FILE", "/dev/null")
    for error, problems in ((ProfileError("expired"), ["expired"]), (NoCredentials("none"), [])):
        monkeypatch.setattr(profiles, "caller_of", Mock(side_effect=error))
        assert find_callers([], REGIONS) == ({}, problems)


def test_session_of_the_role_itself_assumes_no_role() -> None:
    """Applications run as the role, which may not assume itself."""
    session = object()
    caller = Caller(None, "1" * 12, f"arn:aws:sts::{'1' * 12}:assumed-role/publisher/i-0", session)
    assert (
        ProfileClients({caller.account: caller}).session(account=caller.account, region="", role="publisher") is session
    )


HOSTILE = """
[profile process]
credential_process = /nowhere/credentials
[profile sso]
sso_account_id = 222222222222
sso_role_name = role
sso_region = us-east-1
sso_start_url = https://example.awsapps.com/start
[profile token]
role_arn = arn:aws:iam::333333333333:role/a
web_identity_token_file = /nowhere/token
[profile loop]
role_arn = arn:aws:iam::333333333333:role/a
source_profile = loop
"""
KEYS = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret"}


@pytest.mark.parametrize(
    ("variables", "problem"),
    [
        ({"AWS_PROFILE": "absent"}, "The config profile (absent) could not be found"),
        ({"AWS_PROFILE": "process"}, "/nowhere/credentials"),
        ({"AWS_PROFILE": "sso"}, "Error loading SSO Token"),
        ({"AWS_PROFILE": "token"}, "/nowhere/token"),
        ({"AWS_PROFILE": "loop"}, "Infinite loop"),
        ({"AWS_CONFIG_FILE": __file__}, "Unable to parse config file"),
        (KEYS | {"AWS_ENDPOINT_URL": "nonsense"}, "Invalid endpoint: nonsense"),
        (KEYS | {"AWS_ENDPOINT_URL": "http://127.0.0.1:1"}, "Could not connect to the endpoint URL"),
        ({}, "Unable to locate credentials"),
    ],
)
def test_useless_settings_are_one_sentence(
    variables: dict[str, str], problem: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "config").write_text(HOSTILE)
    monkeypatch.setattr(profiles, "_CONFIG", Config(retries={"total_max_attempts": 1}))
    for name in ("AWS_ENDPOINT_URL", "AWS_CA_BUNDLE", "AWS_PROFILE", *KEYS):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ProfileError) as raised:
        caller_of(None, region="us-east-1")
    assert str(raised.value).startswith("the default credentials (give --profile NAME): ")
    assert problem in str(raised.value)
    assert str(raised.value).endswith("Sign in again, or correct the profile, the network or AWS_ENDPOINT_URL.")
    assert isinstance(raised.value, NoCredentials) == (not variables)
