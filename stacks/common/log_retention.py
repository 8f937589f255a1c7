"""The retention of all log groups, CDK's own included."""

import jsii
from aws_cdk import CfnResource, IAspect, RemovalPolicy
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from constructs import IConstruct


@jsii.implements(IAspect)
class LogRetention:
    """An aspect that sets the retention of log groups. A function without a log group gets one."""

    def __init__(self, *, days: int) -> None:
        self._days = days

    def visit(self, node: IConstruct) -> None:
        """Visit one construct of the tree."""
        if isinstance(node, logs.CfnLogGroup):
            node.retention_in_days = self._days
        elif isinstance(node, CfnResource) and _is_bare_function(node) and not node.node.try_find_child("Logs"):
            # The group has a generated name. CDK's groups have the function's name, and CloudFormation creates them
            # after the function, when Lambda may have created a group of that name already.
            group = logs.CfnLogGroup(node, "Logs", retention_in_days=self._days)
            group.apply_removal_policy(RemovalPolicy.DESTROY)
            node.add_property_override("LoggingConfig", {"LogGroup": group.ref})


def _is_bare_function(resource: CfnResource) -> bool:
    """Return whether CDK defines the function as a generic resource, such as the function that empties buckets.

    Only such a function has no log group. Lambda would create a group at the first log line and retain it permanently.
    """
    return resource.cfn_resource_type == "AWS::Lambda::Function" and not isinstance(resource, lambda_.CfnFunction)
