"""Patches of the emulator, one file a service, for behaviour of AWS that this project uses and the emulator lacks.

The docstring of each patch describes AWS and the emulator. A patch includes the policy check that AWS makes.
`local.limitations` lists the remaining differences.
"""

from __future__ import annotations

from importlib import import_module

from local.patches.patch import apply_patches

# The order matters within a service: a later patch wraps the functions of an earlier one.
_MODULES = (
    *("iam", "s3", "s3_large_objects", "s3_checksums", "s3_encryption", "s3_replication"),
    *("sns", "sns_delivery", "sns_https", "eventbridge", "lambda_", "stepfunctions"),
    *("ecs_tasks", "ecs", "dynamodb", "codebuild", "cloudformation", "cloudwatch"),
)


def install() -> None:
    """Apply all patches in this process. Call it before the emulator serves its first request."""
    for module in [import_module(f"local.patches.{name}") for name in _MODULES]:
        apply_patches(module)
