"""Credentials of several accounts, from the caller's AWS profiles."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

_CONFIG = Config(connect_timeout=10, retries={"mode": "standard", "max_attempts": 5})


class ProfileError(Exception):
    """A profile that does not exist, has no valid credentials, or is of the same account as another one."""


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

    Raises:
        ProfileError: names the profile and the reason.
    """
    by_account: dict[str, Caller] = {}
    for caller in _identify(profiles or [None], region):
        if other := by_account.get(caller.account):
            raise ProfileError(
                f"--profile {caller.name} and --profile {other.name} are both of account {caller.account}. "
                "Give one profile for each account."
            )
        by_account[caller.account] = caller
    return by_account


def _identify(profiles: Sequence[str | None], region: str) -> Iterator[Caller]:
    for profile in profiles:
        try:
            session = boto3.Session(profile_name=profile)
            identity = session.client("sts", region_name=region, config=_CONFIG).get_caller_identity()
        except (BotoCoreError, ClientError) as error:
            name = f"--profile {profile}" if profile else "the default credentials (give --profile NAME)"
            raise ProfileError(f"{name}: {error}") from None
        yield Caller(profile, identity["Account"], identity["Arn"], session)


class ProfileClients:
    """Clients of the callers' accounts. There is one for each service, account, Region, role and policy."""

    def __init__(self, callers: Mapping[str, Caller]) -> None:
        self._callers = callers
        self._clients: dict[tuple[str | None, ...], Any] = {}
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
                session = self._callers[account].session
                if role:
                    session = self._assume(account, region, role, session_policy)
                self._clients[key] = session.client(service, region_name=region, config=_CONFIG)
            return self._clients[key]

    def _assume(self, account: str, region: str, role: str, session_policy: str | None) -> Any:
        partition = self._callers[account].arn.split(":")[1]
        limit = {"Policy": session_policy} if session_policy else {}
        issued = self.client("sts", account=account, region=region).assume_role(
            RoleArn=f"arn:{partition}:iam::{account}:role/{role}", RoleSessionName="coatcheck", **limit
        )["Credentials"]
        return boto3.Session(
            aws_access_key_id=issued["AccessKeyId"],
            aws_secret_access_key=issued["SecretAccessKey"],
            aws_session_token=issued["SessionToken"],
        )
