"""Behind a subscriber of kind `sqs`: a state machine, started once per message with the pointer and a summary.

Land (where the deployment file asks for it) -> Tell
"""

from aws_cdk import Duration, RemovalPolicy
from aws_cdk import aws_iam as iam
from aws_cdk import aws_logs as logs
from aws_cdk import aws_stepfunctions as sfn
from aws_cdk import aws_stepfunctions_tasks as tasks
from constructs import Construct

from stacks import names
from stacks.acknowledgement import acknowledge_wildcards
from stacks.application_bus import PROCESSED, ApplicationBus
from stacks.deployment import Deployment, SqsSubscriber
from stacks.landing import Landing

NO_HOPE = ("MalformedMessage", "PayloadCorrupt", "PayloadMissing", "UntrustedStore")
"""What landing raises when trying again cannot help: the library's permanent errors."""


class StateMachine(sfn.StateMachine):
    """Lands the payload and tells of it on the subscriber's own event bus.

    A starting point: put the application's own states between `Land` and `Tell`. Standard, not Express: an
    execution's name is remembered for 90 days, which is what makes a redelivered message start nothing twice.
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        deployment: Deployment,
        subscriber: SqsSubscriber,
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
            definition_body=sfn.DefinitionBody.from_chainable(_definition(scope, deployment, bus, landing)),
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


def _definition(
    scope: Construct, deployment: Deployment, bus: ApplicationBus, landing: Landing | None
) -> sfn.IChainable:
    tell = _tell(scope, deployment, bus)
    return _land(scope, landing).next(tell) if landing else tell


def _land(scope: Construct, landing: Landing) -> tasks.LambdaInvoke:
    land = tasks.LambdaInvoke(
        scope,
        "Land",
        lambda_function=landing.function,
        payload_response_only=True,
        result_path="$.landed",
        retry_on_service_exceptions=False,
    )
    land.add_retry(errors=list(NO_HOPE), max_attempts=0)
    land.add_retry(
        errors=["States.ALL"],
        interval=Duration.seconds(5),
        max_attempts=5,
        backoff_rate=3,
        jitter_strategy=sfn.JitterType.FULL,
    )
    return land


def _tell(scope: Construct, deployment: Deployment, bus: ApplicationBus) -> tasks.EventBridgePutEvents:
    tell = tasks.EventBridgePutEvents(
        scope,
        "Tell",
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
    tell.add_retry(max_attempts=5)
    return tell
