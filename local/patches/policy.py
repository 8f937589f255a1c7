"""Helpers for the patches: policy decisions by the emulator's evaluator, and calls in another account's context."""

from __future__ import annotations

import contextlib
from typing import Any

from ministack.core import iam_evaluator
from ministack.core.arn import parse_arn
from ministack.core.responses import request_scope


def service_may(policy: Any, *, service: str, action: str, resource: str, source: str) -> bool:
    """Return whether a resource policy allows an AWS service to act for a source.

    policy: a document, or its JSON. service: such as sns.amazonaws.com. resource, source: ARNs. The account in the
    source's ARN is the value of `aws:SourceAccount`.
    """
    context = iam_evaluator.EvalContext(
        principal_arn="*",
        principal_type="Service",
        principal_account="",
        action=action,
        resource_arn=resource,
        region=parse_arn(resource).region,
        secure_transport=True,  # AWS services call one another over TLS
        service_context={"aws:sourcearn": source, "aws:sourceaccount": parse_arn(source).account_id},
    )
    decision = iam_evaluator.evaluate_resource_policy(policy or {}, context, service=service).decision
    return bool(decision == "Allow")


def scope_of(arn: str) -> contextlib.AbstractContextManager[Any]:
    """Use the account and Region of an ARN. The emulator stores every resource under its account and Region."""
    spec = parse_arn(arn)
    scope: contextlib.AbstractContextManager[Any] = request_scope(spec.account_id, spec.region)
    return scope
