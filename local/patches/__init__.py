"""Patches of the emulator, one file a service, for behaviour of AWS that this project uses and the emulator lacks.

The docstring of each patch describes AWS and the emulator. A patch includes the policy check that AWS makes.
`local.limitations` lists the remaining differences.
"""

from __future__ import annotations


def install() -> None:
    """Apply all patches in this process. Call it before the emulator serves its first request."""
    from local.patches import (
        cloudformation,
        cloudwatch,
        codebuild,
        dynamodb,
        ecs,
        ecs_tasks,
        eventbridge,
        iam,
        lambda_,
        s3,
        s3_checksums,
        s3_encryption,
        s3_large_objects,
        s3_replication,
        sns,
        sns_delivery,
        sns_https,
        stepfunctions,
    )
    from local.patches.patch import apply_patches

    # The order matters within a service: a later patch wraps the functions of an earlier one.
    for module in (
        iam,
        s3,
        s3_large_objects,
        s3_checksums,
        s3_encryption,
        s3_replication,
        sns,
        sns_delivery,
        sns_https,
    ):
        apply_patches(module)
    for module in (eventbridge, lambda_, stepfunctions):
        apply_patches(module)
    for module in (ecs_tasks, ecs, dynamodb, codebuild, cloudformation, cloudwatch):
        apply_patches(module)
