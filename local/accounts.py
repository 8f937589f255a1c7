"""boto3 clients for the emulated accounts."""

from __future__ import annotations

import os
import threading
from typing import Any

import boto3
import botocore.session
from botocore.config import Config

from local.emulator import Emulator

_CONFIG = Config(
    connect_timeout=5,
    read_timeout=120,
    retries={"total_max_attempts": 2, "mode": "standard"},
    proxies={},
)
# The user's own AWS profile and files stay out of it: a profile named in the environment would be looked up and missed.
_NO_PROFILE = {
    "profile": (None, None, None, None),
    "config_file": (None, None, os.devnull, None),
    "credentials_file": (None, None, os.devnull, None),
}


class Accounts:
    """Clients for any account and Region of one emulator.

    An account's own number as access key signs in as that account's root. A client is made once for each service,
    account, Region and role, and shared.
    """

    def __init__(self, emulator: Emulator) -> None:
        self._emulator = emulator
        self._clients: dict[tuple[str, str, str, str | None], Any] = {}
        self._lock = threading.RLock()

    def client(self, service: str, *, account: str, region: str, role: str | None = None) -> Any:
        """A client for `service`.

        account: 12 digits. role: the name or ARN of a role to assume first, by STS, as that account's root; its trust
        policy is checked. Raises botocore's ClientError when the role may not be assumed.
        """
        if len(account) != 12 or not account.isdigit():
            raise ValueError(f"account={account!r}: an account is a string of 12 digits.")
        key = (service, account, region, role)
        with self._lock:
            if key not in self._clients:
                self._clients[key] = self._make(service, account, region, role)
            return self._clients[key]

    def _make(self, service: str, account: str, region: str, role: str | None) -> Any:
        credentials = {"aws_access_key_id": account, "aws_secret_access_key": "test"}
        if role is not None:
            arn = role if role.startswith("arn:") else f"arn:aws:iam::{account}:role/{role}"
            sts = self.client("sts", account=account, region=region)
            issued = sts.assume_role(RoleArn=arn, RoleSessionName="local")["Credentials"]
            credentials = {
                "aws_access_key_id": issued["AccessKeyId"],
                "aws_secret_access_key": issued["SecretAccessKey"],
                "aws_session_token": issued["SessionToken"],
            }
        session: Any = boto3.session.Session(
            botocore_session=botocore.session.Session(session_vars=_NO_PROFILE), region_name=region, **credentials
        )
        return session.client(
            service, endpoint_url=self._emulator.endpoint, verify=str(self._emulator.ca_bundle), config=_CONFIG
        )
