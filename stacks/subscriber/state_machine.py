"""Behind a subscriber of kind `sqs`: a state machine, started once per message with the pointer and a summary.

CopyPayload (with a landing bucket) -> PublishResult; or a definition that the deployment file names.
"""

import json
from collections.abc import Sequence

from aws_cdk import Duration, RemovalPolicy, Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_logs as logs
from aws_cdk import aws_stepfunctions as sfn
from aws_cdk import aws_stepfunctions_tasks as tasks
from constructs import Construct

from stacks.common.findings import acknowledge_wildcards
from stacks.deployment import Deployment, SqsSubscriberConfig, names
from stacks.deployment.state_machine import filled
from stacks.subscriber.event_bus import PROCESSED, ApplicationBus
from stacks.subscriber.landing_bucket import Landing

NO_HOPE = ("MalformedMessage", "PayloadCorrupt", "PayloadMissing", "UntrustedStore")
"""What landing raises when trying again cannot help: the library's permanent errors."""
NO_ROOM = (
    "Lambda.TooManyRequestsException",
    "Lambda.ClientExecutionTimeoutException",
    "Lambda.ServiceException",
    "Lambda.AWSLambdaException",
    "Lambda.SdkClientException",
)
"""Lambda had no room for the function, or an error of its own: by what Step Functions' guide calls these."""


class StateMachine(sfn.StateMachine):
    """Lands the payload and tells of it on the subscriber's own event bus.

    A starting point: put the application's own states between `CopyPayload` and `PublishResult`, or name a
    definition of
    your own in the deployment file.

    Standard, not Express: an execution's name is remembered for 90 days, which is what makes a
    redelivered message start nothing twice.
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        deployment: Deployment,
        subscriber: SqsSubscriberConfig,
        bus: ApplicationBus,
        landing: Landing | None,
    ) -> None:
        name = names.state_machine(deployment, subscriber)
        role = iam.Role(
            scope,
            f"{id}Role",
            assumed_by=iam.ServicePrincipal(
                "states.amazonaws.com", conditions={"StringEquals": {"aws:SourceAccount": subscriber.account}}
            ),
        )
        acknowledge_wildcards(role, {"Log delivery and X-Ray know no narrower resource.": ["*"]})
        super().__init__(
            scope,
            id,
            state_machine_name=name,
            state_machine_type=sfn.StateMachineType.STANDARD,
            definition_body=_body(scope, deployment, subscriber, bus, landing),
            role=role,
            logs=sfn.LogOptions(
                destination=logs.LogGroup(
                    scope,
                    f"{id}Logs",
                    # Under this prefix one resource policy of the account serves all log groups; it has room for few.
                    log_group_name=f"/aws/vendedlogs/states/{name}",
                    removal_policy=RemovalPolicy.DESTROY,
                ),
                level=sfn.LogLevel.ALL,
                include_execution_data=False,
            ),
            tracing_enabled=True,
        )
        bus.tell_failures(self)
        if landing:
            versions = f"{landing.function.function_arn}:*"
            acknowledge_wildcards(role, {"CDK's grant to invoke: any version of one function.": [versions]})
        if subscriber.state_machine:
            bus.grant_put_events_to(role)
            if landing:
                landing.function.grant_invoke(role)
        if subscriber.state_machine and subscriber.state_machine.permissions:
            values = _placeholders(scope, deployment, subscriber, bus, landing)
            for statement in json.loads(filled(subscriber.state_machine.permissions, values)):
                role.add_to_policy(iam.PolicyStatement.from_json(statement))


def _body(
    scope: Construct,
    deployment: Deployment,
    subscriber: SqsSubscriberConfig,
    bus: ApplicationBus,
    landing: Landing | None,
) -> sfn.DefinitionBody:
    if subscriber.state_machine:
        return sfn.DefinitionBody.from_string(
            filled(subscriber.state_machine.definition, _placeholders(scope, deployment, subscriber, bus, landing))
        )
    publish = _tell(scope, deployment, bus)
    return sfn.DefinitionBody.from_chainable(_land(scope, landing).next(publish) if landing else publish)


def _placeholders(
    scope: Construct,
    deployment: Deployment,
    subscriber: SqsSubscriberConfig,
    bus: ApplicationBus,
    landing: Landing | None,
) -> dict[str, str]:
    """What the files of somebody's own state machine may name: `stacks.deployment.state_machine` has the list."""
    machine = names.state_machine_arn(deployment, subscriber)
    values = {
        "StateMachineArn": machine,
        "ExecutionArnPrefix": machine.replace(":stateMachine:", ":execution:"),
        "EventBusName": bus.event_bus_name,
        "EventBusArn": bus.event_bus_arn,
        "StagingBucketArn": f"arn:{Stack.of(scope).partition}:s3:::{names.staging_bucket(deployment, subscriber)}",
    }
    if landing:
        values |= {
            "CopyFunctionArn": landing.function.function_arn,
            "LandingBucket": landing.bucket.bucket_name,
            "LandingBucketArn": landing.bucket.bucket_arn,
            "LandingKeyArn": landing.key.key_arn,
        }
    return values


def _land(scope: Construct, landing: Landing) -> tasks.LambdaInvoke:
    land = tasks.LambdaInvoke(
        scope,
        "CopyPayload",
        lambda_function=landing.function,
        payload_response_only=True,
        result_path="$.landed",
        retry_on_service_exceptions=False,
    )
    land.add_retry(errors=list(NO_HOPE), max_attempts=0)
    # A burst of executions lands for as long as a quarter of an hour each: those behind it wait for half a day.
    _wait_for_room(land, errors=NO_ROOM, attempts=150)
    land.add_retry(
        errors=["States.ALL"],
        interval=Duration.seconds(5),
        max_attempts=5,
        backoff_rate=3,
        jitter_strategy=sfn.JitterType.FULL,
    )
    return land


def _wait_for_room(state: sfn.TaskStateBase, *, errors: Sequence[str], attempts: int) -> None:
    """Try again after pauses that grow to ten minutes, five on average: the jitter spreads a burst over them."""
    state.add_retry(
        errors=list(errors),
        interval=Duration.seconds(5),
        backoff_rate=2,
        max_delay=Duration.minutes(10),
        max_attempts=attempts,
        jitter_strategy=sfn.JitterType.FULL,
    )


def _tell(scope: Construct, deployment: Deployment, bus: ApplicationBus) -> tasks.EventBridgePutEvents:
    tell = tasks.EventBridgePutEvents(
        scope,
        "PublishResult",
        entries=[
            tasks.EventBridgePutEventsEntry(
                event_bus=bus,
                source=deployment.name,
                detail_type=PROCESSED,
                detail=sfn.TaskInput.from_json_path_at("$"),
            )
        ],
        result_path=sfn.JsonPath.DISCARD,
    )
    # Two hours: EventBridge's quotas are by the second. It says `FailedEntry` whatever the reason.
    _wait_for_room(tell, errors=[sfn.Errors.ALL], attempts=30)
    return tell
