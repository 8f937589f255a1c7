"""Schedules of EventBridge Scheduler."""

from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_scheduler as scheduler
from constructs import Construct

from stacks.common.service_role import ServiceRole


def add_schedule(
    scope: Construct,
    id: str,
    *,
    account: str,
    description: str,
    expression: str,
    target_arn: str,
    permission: iam.PolicyStatement,
    key: kms.IKey,
    input: str | None = None,
) -> scheduler.CfnSchedule:
    """Add a schedule that calls its target with up to three retries, and the schedule's role.

    Args:
        scope: The parent of both.
        id: The schedule's construct id.
        account: The account of the stack.
        description: The schedule's description.
        expression: A cron or rate expression, in UTC.
        target_arn: The ARN of the target.
        permission: The statement that allows the role to call the target.
        key: The key that encrypts the schedule.
        input: The target's input.
    """
    role = ServiceRole(scope, f"{id}Role", service="scheduler", account=account)
    role.add_to_policy(permission)
    key.grant_decrypt(role)
    schedule = scheduler.CfnSchedule(
        scope,
        id,
        description=description,
        schedule_expression=expression,
        schedule_expression_timezone="UTC",
        flexible_time_window=scheduler.CfnSchedule.FlexibleTimeWindowProperty(mode="OFF"),
        kms_key_arn=key.key_arn,
        target=scheduler.CfnSchedule.TargetProperty(
            arn=target_arn,
            role_arn=role.role_arn,
            input=input,
            retry_policy=scheduler.CfnSchedule.RetryPolicyProperty(maximum_retry_attempts=3),
        ),
    )
    schedule.node.add_dependency(role)
    return schedule
