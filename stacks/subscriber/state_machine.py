"""The state machine of a subscriber with a queue. Each message starts one execution, with the hand-off as input.

CopyPayload (with a landing bucket) -> PublishResult, or the definition that the deployment file names.
"""

from collections.abc import Sequence

from aws_cdk import Duration, RemovalPolicy
from aws_cdk import aws_iam as iam
from aws_cdk import aws_logs as logs
from aws_cdk import aws_stepfunctions as sfn
from aws_cdk import aws_stepfunctions_tasks as tasks
from constructs import Construct

from claim_check import error_classes
from stacks.common.defaults import Defaults
from stacks.common.findings import acknowledge_wildcards
from stacks.common.grants import allow, grant_invoke
from stacks.common.service_role import ServiceRole
from stacks.common.stack_key import stack_key
from stacks.deployment.names import SubscriberNames
from stacks.deployment.state_machine import StateMachineConfig, fill_placeholders, read_statements
from stacks.subscriber.event_bus import PROCESSED, SubscriberBus
from stacks.subscriber.landing_bucket import LandingBucket

PERMANENT_ERRORS = [error.__name__ for error in error_classes() if error.permanent and not error.repairable]
"""Errors of the copy function that are not retried: the same input fails again, also after a change of policies."""
LAMBDA_ERRORS = (
    "Lambda.TooManyRequestsException",
    "Lambda.ClientExecutionTimeoutException",
    "Lambda.ServiceException",
    "Lambda.AWSLambdaException",
    "Lambda.SdkClientException",
)
"""Throttling and Lambda's own errors. (Step Functions developer guide, "Handling errors".)"""


class StateMachine(sfn.StateMachine):
    """The state machine, its role and its log group.

    To process payloads, put states between `CopyPayload` and `PublishResult`, or name a definition in the deployment
    file. The type is Standard, not Express: Step Functions rejects a repeated execution name for 90 days, so that a
    redelivered message starts no second execution.
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        names: SubscriberNames,
        settings: StateMachineConfig | None,
        bus: SubscriberBus,
        landing: LandingBucket | None,
        defaults: Defaults,
    ) -> None:
        role = ServiceRole(scope, f"{id}Role", service="states", account=names.place.account)
        acknowledge_wildcards(role, {"Log delivery and X-Ray have no narrower resource.": ["*"]})
        self._executions_arn = names.state_machine.arn.replace(":stateMachine:", ":execution:")
        values = {
            "StateMachineArn": names.state_machine.arn,
            "ExecutionArnPrefix": self._executions_arn,
            "EventBusName": bus.event_bus_name,
            "EventBusArn": bus.event_bus_arn,
            "StagingBucketArn": names.staging_bucket.arn,
            **(_landing_values(landing) if landing else {}),
        }
        super().__init__(
            scope,
            id,
            state_machine_name=names.state_machine.name,
            state_machine_type=sfn.StateMachineType.STANDARD,
            definition_body=(
                sfn.DefinitionBody.from_string(fill_placeholders(settings.definition, values))
                if settings
                else _built_in_definition(scope, source=defaults.name, bus=bus, landing=landing)
            ),
            role=role,
            logs=sfn.LogOptions(
                destination=logs.LogGroup(
                    scope,
                    f"{id}Logs",
                    # Log groups with this prefix share one resource policy of the account. Its size limit allows few
                    # other names.
                    log_group_name=f"/aws/vendedlogs/states/{names.state_machine.name}",
                    removal_policy=RemovalPolicy.DESTROY,
                ),
                level=sfn.LogLevel.ALL,
                include_execution_data=False,
            ),
            tracing_enabled=True,
        )
        bus.forward_failures(self)
        bus.grant_put_events_to(role)
        if landing:
            grant_invoke(landing.copy_function, role)
        if settings and (key := stack_key(self, defaults)):
            key.grant_decrypt(role)  # the hand-off can point to the staging bucket
        if settings and settings.permissions:
            for statement in read_statements(settings.permissions, values):
                role.add_to_policy(iam.PolicyStatement.from_json(statement))

    def grant_start(self, role: iam.IRole) -> None:
        """Allow the role to start executions, and to compare a repeated message with its execution's input."""
        self.grant_start_execution(role)
        allow(
            role,
            actions=["states:DescribeExecution"],
            resources=[f"{self._executions_arn}:*"],
            wildcards="An execution is named after its message.",
        )


def _landing_values(landing: LandingBucket) -> dict[str, str]:
    return {
        "CopyFunctionArn": landing.copy_function.function_arn,
        "LandingBucket": landing.bucket.bucket_name,
        "LandingBucketArn": landing.bucket.bucket_arn,
        "LandingKeyArn": landing.key.key_arn,
    }


def _built_in_definition(
    scope: Construct, *, source: str, bus: SubscriberBus, landing: LandingBucket | None
) -> sfn.DefinitionBody:
    publish = tasks.EventBridgePutEvents(
        scope,
        "PublishResult",
        entries=[
            tasks.EventBridgePutEventsEntry(
                event_bus=bus, source=source, detail_type=PROCESSED, detail=sfn.TaskInput.from_json_path_at("$")
            )
        ],
        result_path=sfn.JsonPath.DISCARD,
    )
    # Two hours: EventBridge's quotas are per second. It reports every failure as `FailedEntry`.
    _retry_for_hours(publish, errors=[sfn.Errors.ALL], attempts=30)
    if landing is None:
        return sfn.DefinitionBody.from_chainable(publish)
    copy = tasks.LambdaInvoke(
        scope,
        "CopyPayload",
        lambda_function=landing.copy_function,
        payload_response_only=True,
        result_path="$.landed",
        retry_on_service_exceptions=False,
    )
    copy.add_retry(errors=PERMANENT_ERRORS, max_attempts=0)
    # Half a day: in a burst, each copy takes up to 15 minutes, and other executions wait for the function.
    _retry_for_hours(copy, errors=LAMBDA_ERRORS, attempts=150)
    copy.add_retry(
        errors=[sfn.Errors.ALL],
        interval=Duration.seconds(5),
        max_attempts=5,
        backoff_rate=3,
        jitter_strategy=sfn.JitterType.FULL,
    )
    return sfn.DefinitionBody.from_chainable(copy.next(publish))


def _retry_for_hours(state: sfn.TaskStateBase, *, errors: Sequence[str], attempts: int) -> None:
    """Retry after pauses of up to ten minutes. Full jitter halves them on average and spreads a burst."""
    state.add_retry(
        errors=list(errors),
        interval=Duration.seconds(5),
        backoff_rate=2,
        max_delay=Duration.minutes(10),
        max_attempts=attempts,
        jitter_strategy=sfn.JitterType.FULL,
    )
