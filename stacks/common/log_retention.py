"""How long logs are kept: the deployment file's word, for every log group of a stack, CDK's own included."""

from aws_cdk import CfnResource, RemovalPolicy
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from constructs import IConstruct


def keep_logs(stack: IConstruct, days: int) -> None:
    """To be called when all of the stack is there."""
    for each in stack.node.find_all():
        if isinstance(each, CfnResource) and _is_bare_function(each):
            _give_a_log_group(each)
    for each in stack.node.find_all():
        if isinstance(each, logs.CfnLogGroup):
            each.retention_in_days = days


def _is_bare_function(resource: CfnResource) -> bool:
    """One that CDK makes out of a bare resource, such as what empties buckets: no other does it leave without a log
    group. Lambda would make one when the function first writes, and keep it for ever."""
    return resource.cfn_resource_type == "AWS::Lambda::Function" and not isinstance(resource, lambda_.CfnFunction)


def _give_a_log_group(function: CfnResource) -> None:
    # Not named after the function, as CDK does: then it would be made after it, when Lambda may have made one.
    group = logs.CfnLogGroup(function, "Logs")
    group.apply_removal_policy(RemovalPolicy.DESTROY)
    function.add_property_override("LoggingConfig", {"LogGroup": group.ref})
