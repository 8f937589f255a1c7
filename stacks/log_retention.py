"""How long logs are kept: the deployment file's word, for every log group of a stack, CDK's own included."""

from aws_cdk import aws_logs as logs
from constructs import IConstruct


def keep_logs(stack: IConstruct, days: int) -> None:
    """To be called when all of the stack is there."""
    for each in stack.node.find_all():
        if isinstance(each, logs.CfnLogGroup):
            each.retention_in_days = days
