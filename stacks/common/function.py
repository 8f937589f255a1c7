"""A Lambda function: code, role, log group."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from aws_cdk import Duration, RemovalPolicy
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from constructs import Construct

from stacks.common.bundle import bundle
from stacks.common.findings import acknowledge_wildcards

METRICS = "coatcheck"
"""The namespace of the functions' own metrics. Their one dimension is `service`, the function's name."""
DEFAULT_MEMORY_MIB = 1024
"""Lambda allocates CPU and network in proportion to memory. Payloads are streamed, so their size needs none."""


class Function(lambda_.Function):
    """A function that runs `<package>.handler.handler`."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        function_name: str,
        role_name: str | None = None,
        package: str,
        shared: Sequence[str] = ("claim_check", "shared"),
        own_code: Path | None = None,
        memory_mib: int = DEFAULT_MEMORY_MIB,
        timeout: Duration,
        environment: Mapping[str, str],
        on_failure: lambda_.IDestination | None = None,
        reserved_concurrent_executions: int | None = None,
    ) -> None:
        role = iam.Role(
            scope, f"{id}Role", role_name=role_name, assumed_by=iam.ServicePrincipal("lambda.amazonaws.com")
        )
        log_group = logs.LogGroup(
            scope, f"{id}Logs", log_group_name=f"/aws/lambda/{function_name}", removal_policy=RemovalPolicy.DESTROY
        )
        log_group.grant_write(role)
        acknowledge_wildcards(role, {"X-Ray has no narrower resource.": ["*"]})
        self.service = function_name
        """The function's name in its logs and metrics."""
        self.execution_role = role
        """The function's role. CDK's `role` is the same, but its type allows None."""
        super().__init__(
            scope,
            id,
            function_name=function_name,
            runtime=lambda_.Runtime.PYTHON_3_14,
            architecture=lambda_.Architecture.ARM_64,
            handler=f"{package}.handler.handler",
            code=bundle(*shared, package, own_code=own_code),
            role=role,
            log_group=log_group,
            timeout=timeout,
            memory_size=memory_mib,
            tracing=lambda_.Tracing.ACTIVE,
            on_failure=on_failure,
            reserved_concurrent_executions=reserved_concurrent_executions,
            environment={
                "POWERTOOLS_SERVICE_NAME": function_name,
                "POWERTOOLS_METRICS_NAMESPACE": METRICS,
                **environment,
            },
        )

    def own_metric(self, name: str, statistic: str = "Sum") -> cloudwatch.Metric:
        """Return a metric that the function itself writes, with Powertools' dimension."""
        return cloudwatch.Metric(
            namespace=METRICS, metric_name=name, dimensions_map={"service": self.service}, statistic=statistic
        )
