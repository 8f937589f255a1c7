"""What the emulator lacks and this project uses: a file a service, a function a gap.

Each function's docstring says what AWS does and what the emulator does instead. Nothing is filled that is not used, and
what is filled comes with the policy check that AWS makes. What is still missing: `local.limitations`.
"""

from __future__ import annotations


def install() -> None:
    """Fill every gap, in this process, before the emulator serves its first request."""
    from local.patches import codebuild, dynamodb, ecs, eventbridge, iam, lambda_, s3, sns, stepfunctions

    for service in (iam, s3, sns, eventbridge, lambda_, stepfunctions, ecs, dynamodb, codebuild):
        service.install()
