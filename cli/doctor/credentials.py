"""Credentials for the accounts of a deployment, from the user's AWS profiles."""

from __future__ import annotations

import re
from collections.abc import Container, Iterator, Sequence

import botocore.session

from access.assembly import StackTemplate
from cli.page import Finding, problem
from cli.profiles import Caller, ProfileError, callers


def find_callers(profiles: Sequence[str], stacks: Sequence[StackTemplate]) -> tuple[dict[str, Caller], list[Finding]]:
    """Return the callers by account, and the profiles that cannot be used.

    Args:
        profiles: Names of profiles, or `ACCOUNT=NAME`. Without any, the SDK's default credentials are used, and the
            profiles of the user's configuration whose settings name an account of the deployment.
        stacks: The stacks of the accounts.
    """
    found: dict[str, Caller] = {}
    findings: list[Finding] = []
    regions = {stack.account: stack.region for stack in stacks}
    for expected, profile in [_parse(each) for each in profiles] or [*_named(regions), ("", None)]:
        try:
            (caller,) = callers([profile] if profile else [], region=regions.get(expected, stacks[0].region)).values()
        except ProfileError as error:
            if profile:
                findings.append(problem(f"{error}"))
            continue
        if expected and caller.account != expected:
            findings.append(problem(f"--profile {expected}={profile}: is of account {caller.account}."))
        elif caller.account in regions:
            found.setdefault(caller.account, caller)
        elif profiles:
            findings.append(problem(f"--profile {profile}: account {caller.account} has no stack of the deployment."))
    return found, findings


def _parse(text: str) -> tuple[str, str | None]:
    account, separator, name = text.partition("=")
    return (account, name) if separator else ("", text)


def _named(accounts: Container[str]) -> Iterator[tuple[str, str | None]]:
    """Yield the profiles of the user's configuration whose settings name one of the accounts."""
    for name, settings in botocore.session.Session().full_config.get("profiles", {}).items():
        role = re.match(r"arn:[a-z-]+:iam::([0-9]{12}):role/", settings.get("role_arn", ""))
        account = str(settings.get("sso_account_id") or (role[1] if role else ""))
        if account in accounts:
            yield account, str(name)
