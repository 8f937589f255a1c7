"""IAM's gaps: who a caller is in a policy's eyes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ministack.core import iam_evaluator
from ministack.services import iam

from local.patches.patch import instead_of


def install() -> None:
    """Fill every gap of this file."""
    principal_arn_is_the_roles()
    root_obeys_resource_policies()


def principal_arn_is_the_roles() -> None:
    """AWS: for an assumed role `aws:PrincipalArn` is the role's ARN, arn:aws:iam::account:role/path/name.

    The emulator: the session's, arn:aws:sts::account:assumed-role/name/session, so a pin to a role never matches.
    """

    @instead_of(iam_evaluator, "_resolve_condition_key")
    def resolve(original: Any, key: str, context: Any) -> Any:
        value = original(key, context)
        if key.lower() != "aws:principalarn" or ":assumed-role/" not in str(value):
            return value
        account, name = value.split(":")[4], value.split(":assumed-role/")[1].split("/")[0]
        role = iam._roles.get_scoped(account, None, name) or {}
        return role.get("Arn", f"arn:aws:iam::{account}:role/{name}")


def root_obeys_resource_policies() -> None:
    """AWS: an account's root may do everything in its own account, but a resource's policy can deny it, and in another
    account it needs that resource's policy like anybody else.

    The emulator: asks root for no policy, except where a service asks by itself (topics, queues, buckets).
    """
    everything = iam_evaluator.parse_policy_document({"Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}})

    @instead_of(iam_evaluator, "resolve_principal")
    def resolve(original: Any, *args: Any, **kwargs: Any) -> Any:
        principal = original(*args, **kwargs)
        # What may be asked without a signature, such as to confirm a subscription by its token, nobody's root asks.
        unsigned = iam_evaluator._anonymous.get()
        if unsigned or isinstance(principal, iam_evaluator.AuthError) or principal.policies is not None:
            return principal
        return replace(principal, policies=[everything])
