"""Behind a subscriber of kind `sqs`: a state machine, started once per message with the pointer and a summary."""

from aws_cdk import RemovalPolicy
from aws_cdk import aws_events as events
from aws_cdk import aws_iam as iam
from aws_cdk import aws_logs as logs
from aws_cdk import aws_stepfunctions as sfn
from aws_cdk import aws_stepfunctions_tasks as tasks
from constructs import Construct

from stacks import names
from stacks.acknowledgement import acknowledge_wildcards
from stacks.deployment import Deployment, SqsSubscriber


class StateMachine(sfn.StateMachine):
    """Announces the payload on the account's default event bus, for any rule there to take up.

    A starting point: put the application's own states in place of `Announce`. Standard, not Express: an execution's
    name is remembered for 90 days, which is what makes a redelivered message start nothing twice.
    """

    def __init__(self, scope: Construct, id: str, *, deployment: Deployment, subscriber: SqsSubscriber) -> None:
        announce = tasks.EventBridgePutEvents(
            scope,
            "Announce",
            entries=[
                tasks.EventBridgePutEventsEntry(
                    event_bus=events.EventBus.from_event_bus_name(scope, "DefaultBus", "default"),
                    source=deployment.name,
                    detail_type="Payload received",
                    detail=sfn.TaskInput.from_json_path_at("$"),
                )
            ],
            result_path=sfn.JsonPath.DISCARD,
        )
        announce.add_retry(max_attempts=5)
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
            definition_body=sfn.DefinitionBody.from_chainable(announce),
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
