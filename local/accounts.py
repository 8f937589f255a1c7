"""Credentials and boto3 clients of the emulated accounts."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from typing import Any

import boto3
import botocore.session
from botocore.config import Config
from botocore.loaders import create_loader

from local.emulator import Emulator

_CONFIG = Config(
    connect_timeout=5,
    read_timeout=120,
    retries={"total_max_attempts": 2, "mode": "standard"},
)


def credentials(emulator: Emulator, account: str, region: str) -> dict[str, str]:
    """Return the environment variables that make the CDK CLI, the AWS CLI and SDKs use an emulated account as its root.

    account: any 12 digits. The number itself is the access key of the account's root.
    """
    return {
        "AWS_ENDPOINT_URL": emulator.endpoint,
        "AWS_CA_BUNDLE": str(emulator.ca_bundle),
        "NODE_EXTRA_CA_CERTS": str(emulator.ca_bundle),
        # Ignore the user's profiles and instance credentials.
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        "NO_PROXY": "127.0.0.1",
        "no_proxy": "127.0.0.1",
        "AWS_SECRET_ACCESS_KEY": emulator.secret,
        "AWS_ACCESS_KEY_ID": account,
        "AWS_REGION": region,
        "AWS_DEFAULT_REGION": region,
    }


def profiles(emulator: Emulator, accounts: Mapping[str, str]) -> str:
    """Return an AWS configuration file with a profile for the root of each account, by the profile's name."""
    return "".join(
        f"[profile {name}]\naws_access_key_id = {account}\naws_secret_access_key = {emulator.secret}\n"
        for name, account in accounts.items()
    )


class Accounts:
    """Clients for any account and Region of one emulator.

    There is one client for each service, account, Region and role. All callers share it.
    """

    def __init__(self, emulator: Emulator) -> None:
        self._emulator = emulator
        self._clients: dict[tuple[str | None, ...], Any] = {}
        self._lock = threading.RLock()
        self._loader = create_loader()  # shared, because parsing a service's model takes most of a new client's time

    def client(
        self, service: str, *, account: str, region: str, role: str | None = None, session_policy: str | None = None
    ) -> Any:
        """Return a client for `service`, as the account's root or as a role.

        account: 12 digits. role: name or ARN of a role, which the account's root assumes. STS checks its trust policy.
        session_policy: a policy (JSON) that limits the role's session.

        Raises:
            ValueError: `account` is not 12 digits.
            ClientError: the account's root may not assume the role.
        """
        if len(account) != 12 or not account.isdigit():
            raise ValueError(f"account={account!r}: an account is a string of 12 digits.")
        key = (service, account, region, role, session_policy)
        with self._lock:
            if key not in self._clients:
                self._clients[key] = self._make(*key)
            return self._clients[key]

    def _make(self, service: str, account: str, region: str, role: str | None, session_policy: str | None) -> Any:
        keys = {"aws_access_key_id": account, "aws_secret_access_key": self._emulator.secret}
        if role is not None:
            arn = role if role.startswith("arn:") else f"arn:aws:iam::{account}:role/{role}"
            sts = self.client("sts", account=account, region=region)
            limit = {"Policy": session_policy} if session_policy else {}
            issued = sts.assume_role(RoleArn=arn, RoleSessionName="local", **limit)["Credentials"]
            keys = {
                "aws_access_key_id": issued["AccessKeyId"],
                "aws_secret_access_key": issued["SecretAccessKey"],
                "aws_session_token": issued["SessionToken"],
            }
        core = botocore.session.get_session()
        core.register_component("data_loader", self._loader)
        session: Any = boto3.session.Session(botocore_session=core, region_name=region, **keys)
        return session.client(
            service, endpoint_url=self._emulator.endpoint, verify=str(self._emulator.ca_bundle), config=_CONFIG
        )
