"""What the fillings share: decisions by the emulator's own policy evaluator, and work in another account's scope."""

from __future__ import annotations

import contextlib
from typing import Any

from ministack.core import iam_evaluator
from ministack.core.arn import parse_arn
from ministack.core.responses import request_scope


def service_may(policy: Any, *, service: str, action: str, resource: str, source: str) -> bool:
    """Whether a resource's policy lets an AWS service act for a source.

    policy: a document, or its JSON. service: such as sns.amazonaws.com. resource, source: ARNs; the source's account is
    `aws:SourceAccount`.
    """
    context = iam_evaluator.EvalContext(
        principal_arn="*",
        principal_type="Service",
        principal_account="",
        action=action,
        resource_arn=resource,
        region=parse_arn(resource).region,
        secure_transport=True,  # services call one another over TLS
        service_context={"aws:sourcearn": source, "aws:sourceaccount": parse_arn(source).account_id},
    )
    decision = iam_evaluator.evaluate_resource_policy(policy or {}, context, service=service).decision
    return bool(decision == "Allow")


def scope_of(arn: str) -> contextlib.AbstractContextManager[Any]:
    """Work in the account and Region an ARN names: the emulator keeps every resource by these two."""
    spec = parse_arn(arn)
    scope: contextlib.AbstractContextManager[Any] = request_scope(spec.account_id, spec.region)
    return scope
