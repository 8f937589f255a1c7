"""Credentials of several accounts, from the caller's AWS profiles."""

from __future__ import annotations

import re
import threading
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import boto3
import botocore.session
from botocore.config import Config
from botocore.credentials import RefreshableCredentials
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError
from botocore.parsers import ResponseParserError

_CONFIG = Config(connect_timeout=10, retries={"mode": "standard", "max_attempts": 5})


class ProfileError(Exception):
    """A profile that does not exist, has no valid credentials, or is of the same account as another one."""


class NoCredentials(ProfileError):
    """There are no default credentials."""


@dataclass(frozen=True)
class Caller:
    """A profile's identity. `profile` is None for the SDK's default credentials."""

    profile: str | None
    account: str
    arn: str
    session: Any

    @property
    def name(self) -> str:
        """The profile's name for people."""
        return self.profile or "the default credentials"


def callers(profiles: Sequence[str], *, region: str) -> Mapping[str, Caller]:
    """Return the identity of each profile, by account. Without profiles, that of the SDK's default credentials.

    profiles: names, or `ACCOUNT=NAME` to check the account.

    Raises:
        ProfileError: names the profile and the reason.
    """
    by_account: dict[str, Caller] = {}
    given: Sequence[str | None] = profiles or [None]
    for caller in (caller_of(each, region=region) for each in given):
        if other := by_account.get(caller.account):
            raise ProfileError(
                f"--profile {caller.name} and --profile {other.name} are both of account {caller.account}. "
                "Give one profile for each account."
            )
        by_account[caller.account] = caller
    return by_account


def caller_of(profile: str | None, *, region: str) -> Caller:
    """Return the identity of a profile (a name, or `ACCOUNT=NAME`), or of the SDK's default credentials.

    Raises:
        ProfileError: names the profile and the reason.
    """
    expected, name = _parse(profile)
    try:
        session = boto3.Session(profile_name=name)
        identity = session.client("sts", region_name=region, config=_CONFIG).get_caller_identity()
    except (BotoCoreError, ClientError, ResponseParserError, OSError, ValueError) as error:
        # OSError and ValueError: files and addresses in the user's settings
        kind = NoCredentials if isinstance(error, NoCredentialsError) else ProfileError
        given = f"--profile {profile}" if profile else "the default credentials (give --profile NAME)"
        remedy = "Sign in again, or correct the profile, the network or AWS_ENDPOINT_URL."
        raise kind(f"{given}: {str(error).rstrip('.')}. {remedy}") from None
    if expected not in ("", identity["Account"]):
        raise ProfileError(f"--profile {profile}: is of account {identity['Account']}.")
    return Caller(name, identity["Account"], identity["Arn"], session)


def find_callers(profiles: Sequence[str], regions: Mapping[str, str]) -> tuple[dict[str, Caller], list[str]]:
    """Return the callers by account, and a sentence for each profile that cannot be used.

    Args:
        profiles: Names of profiles, or `ACCOUNT=NAME`. Without any, the SDK's default credentials are used, and for
            the other accounts the profile of the user's configuration whose settings name the account.
        regions: The accounts of the deployment, each with a Region.
    """
    return _given(profiles, regions) if profiles else _default(regions)


def _given(profiles: Sequence[str], regions: Mapping[str, str]) -> tuple[dict[str, Caller], list[str]]:
    found: dict[str, Caller] = {}
    problems: list[str] = []
    for each in profiles:
        try:
            caller = _caller(each, regions)
        except ProfileError as error:
            problems.append(f"{error}")
            continue
        if caller.account not in regions:
            problems.append(f"--profile {each}: account {caller.account} has no stack of the deployment.")
        elif (other := found.setdefault(caller.account, caller)) is not caller:
            problems.append(f"--profile {each}: is of account {caller.account}, as {other.name}. Remove one.")
    return found, problems


def _default(regions: Mapping[str, str]) -> tuple[dict[str, Caller], list[str]]:
    found: dict[str, Caller] = {}
    problems: list[str] = []
    unusable: list[str] = []
    try:
        caller = _caller(None, regions)
        found |= {caller.account: caller} if caller.account in regions else {}
    except NoCredentials:
        pass
    except ProfileError as error:
        unusable.append(str(error))
    for account, names in _named(regions.keys() - found.keys()).items():
        if len(names) > 1:
            problems.append(
                f"account {account}: is of the profiles {', '.join(names)}. Give --profile with one of them."
            )
            continue
        try:
            found[account] = _caller(f"{account}={names[0]}", regions)
        except ProfileError as error:
            problems.append(f"{error}")
    return found, problems if found else unusable + problems


def _caller(profile: str | None, regions: Mapping[str, str]) -> Caller:
    return caller_of(profile, region=regions.get(_parse(profile)[0]) or next(iter(regions.values())))


def _parse(given: str | None) -> tuple[str, str | None]:
    """Return the expected account, or nothing, and the profile's name."""
    account, separator, name = (given or "").partition("=")
    return (account, name) if separator else ("", given or None)


def _named(accounts: Collection[str]) -> Mapping[str, Sequence[str]]:
    """Return the profiles of the user's configuration whose settings name one of the accounts, by account."""
    found: dict[str, list[str]] = {}
    try:
        configured = botocore.session.Session().full_config.get("profiles", {})
    except BotoCoreError:  # the default credentials report it
        return {}
    for name, settings in configured.items():
        role = re.match(r"arn:[a-z-]+:iam::([0-9]{12}):role/", settings.get("role_arn", ""))
        account = str(settings.get("sso_account_id") or (role[1] if role else ""))
        if account in accounts:
            found.setdefault(account, []).append(name)
    return found


class ProfileClients:
    """Clients of the callers' accounts. There is one for each service, account, Region, role and policy."""

    def __init__(self, callers: Mapping[str, Caller]) -> None:
        self._callers = callers
        self._clients: dict[tuple[str | None, ...], Any] = {}
        self._sessions: dict[tuple[str | None, ...], Any] = {}
        self._lock = threading.RLock()

    def reaches(self, account: str) -> bool:
        """Return whether one of the callers is in the account."""
        return account in self._callers

    def client(
        self, service: str, *, account: str, region: str, role: str | None = None, session_policy: str | None = None
    ) -> Any:
        """Return a client as the account's caller, or as a role of the account that the caller assumes.

        session_policy: a policy (JSON) that limits the role's session.

        Raises:
            ClientError: the caller may not assume the role.
        """
        key = (service, account, region, role, session_policy)
        with self._lock:
            if key not in self._clients:
                session = self.session(account=account, region=region, role=role, session_policy=session_policy)
                self._clients[key] = session.client(service, region_name=region, config=_CONFIG)
            return self._clients[key]

    def session(self, *, account: str, region: str, role: str | None = None, session_policy: str | None = None) -> Any:
        """Return a session of the account's caller, or of a role of the account that the caller assumes or is.

        Raises:
            ClientError: the caller may not assume the role.
        """
        caller = self._callers[account]
        if not role or (f":assumed-role/{role}/" in caller.arn and not session_policy):
            return caller.session
        key = (account, role, session_policy)
        with self._lock:
            if key not in self._sessions:
                self._sessions[key] = self._assume(caller, region, role, session_policy)
            return self._sessions[key]

    def _assume(self, caller: Caller, region: str, role: str, session_policy: str | None) -> Any:
        partition = caller.arn.split(":")[1]
        limit = {"Policy": session_policy} if session_policy else {}
        sts = self.client("sts", account=caller.account, region=region)

        def issue() -> dict[str, str]:
            issued = sts.assume_role(
                RoleArn=f"arn:{partition}:iam::{caller.account}:role/{role}", RoleSessionName="coatcheck", **limit
            )["Credentials"]
            return {
                "access_key": issued["AccessKeyId"],
                "secret_key": issued["SecretAccessKey"],
                "token": issued["SessionToken"],
                "expiry_time": issued["Expiration"].isoformat(),
            }

        # The profile's endpoint and certificates apply to the role, too. Its session ends after an hour.
        session: Any = botocore.session.Session(profile=caller.profile)
        session._credentials = RefreshableCredentials.create_from_metadata(issue(), issue, "assume-role")
        return boto3.Session(botocore_session=session)
