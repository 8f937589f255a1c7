"""Patches of IAM: the caller in conditions of policies."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ministack.core import iam_actions, iam_evaluator
from ministack.services import iam

from local.patches.patch import patch, replaces


@patch
def principal_arn_is_role_arn() -> None:
    """Set `aws:PrincipalArn` of an assumed role to the role's ARN.

    AWS: the value is the role's ARN, arn:aws:iam::account:role/path/name. The emulator: the value is the session's ARN,
    arn:aws:sts::account:assumed-role/name/session, so that a condition on a role never matches.
    """

    @replaces(iam_evaluator, "_resolve_condition_key")
    def resolve(original: Any, key: str, context: Any) -> Any:
        value = original(key, context)
        if key.lower() != "aws:principalarn" or ":assumed-role/" not in str(value):
            return value
        account, name = value.split(":")[4], value.split(":assumed-role/")[1].split("/")[0]
        role = iam._roles.get_scoped(account, None, name) or {}
        return role.get("Arn", f"arn:aws:iam::{account}:role/{name}")


@patch
def root_obeys_resource_policies() -> None:
    """Apply resource policies to an account's root.

    AWS: root may do everything in its own account unless a resource policy denies it. In another account, root needs
    the resource policy, as other callers do.

    The emulator: applies no policy to root, except for topics, queues and buckets.
    """
    everything = iam_evaluator.parse_policy_document({"Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}})

    @replaces(iam_evaluator, "resolve_principal")
    def resolve(original: Any, *args: Any, **kwargs: Any) -> Any:
        principal = original(*args, **kwargs)
        # An unsigned request, such as the confirmation of a subscription by its token, has no root.
        unsigned = iam_evaluator._anonymous.get()
        if unsigned or isinstance(principal, iam_evaluator.AuthError) or principal.policies is not None:
            return principal
        return replace(principal, policies=[everything])


@patch
def trusted_service_is_no_account() -> None:
    """Distinguish AWS services from accounts in trust policies.

    AWS: only the service can assume a role that trusts a service. The emulator: so can the root of every account.
    """

    @replaces(iam_evaluator, "_principal_matches")
    def matches(original: Any, principal: Any, caller: str) -> bool:
        if isinstance(principal, dict):
            principal = {kind: value for kind, value in principal.items() if kind != "Service"}
        return bool(original(principal, caller))


@patch
def batch_needs_permission_of_single_request() -> None:
    """Authorize a batch of SQS or SNS as its single requests.

    AWS: ChangeMessageVisibilityBatch needs `sqs:ChangeMessageVisibility`, and PublishBatch `sns:Publish`. The emulator:
    they need actions that do not exist, such as `sqs:ChangeMessageVisibilityBatch`.
    """

    @replaces(iam_actions, "extract_iam_action")
    def extract(original: Any, *args: Any, **kwargs: Any) -> Any:
        action = original(*args, **kwargs)
        return action.removesuffix("Batch") if action and action.startswith(("sqs:", "sns:")) else action
