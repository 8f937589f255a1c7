"""The environment variables that point AWS's tools at the emulator, signed in to one of its accounts."""

from __future__ import annotations

import os

from local.emulator import Emulator

# What a shell may have set that would sign in elsewhere.
UNSET = ("AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_SESSION_TOKEN")


def sign_in(emulator: Emulator, account: str, region: str) -> dict[str, str]:
    """For the CDK CLI, the AWS CLI and SDKs. account: any 12 digits; the number itself is its root's access key."""
    return {
        "AWS_ENDPOINT_URL": emulator.endpoint,
        "AWS_CA_BUNDLE": str(emulator.ca_bundle),
        "NODE_EXTRA_CA_CERTS": str(emulator.ca_bundle),
        # The user's own profiles and instance credentials stay out of it.
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        "NO_PROXY": "127.0.0.1",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_ACCESS_KEY_ID": account,
        "AWS_REGION": region,
        "AWS_DEFAULT_REGION": region,
    }
