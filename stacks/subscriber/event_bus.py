"""A subscriber's own event bus: what became of each payload is told there, for any rule of the account to take up."""

from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_iam as iam
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from stacks.deployment import Deployment, SqsSubscriberConfig, names

PROCESSED = "Payload processed"
"""Detail type of the event that the state machine puts here; its detail is the execution's output."""
UNSUCCESSFUL = ("FAILED", "TIMED_OUT", "ABORTED")


class ApplicationBus(events.EventBus):
    """`Payload processed` comes from the state machine; of executions that failed, Step Functions tells itself, as well
    as it can: AWS calls its events "best effort". What must not be missed is an alarm (`ExecutionsFailed`)."""

    def __init__(self, scope: Construct, id: str, *, deployment: Deployment, subscriber: SqsSubscriberConfig) -> None:
        super().__init__(scope, id, event_bus_name=names.application_bus(deployment, subscriber))
        self.forwarding: dict[str, events.Rule] = {}
        """By what they tell of. They have no dead-letter queue: an event of AWS is no message to send back."""
        self._forwards = iam.Role(
            self,
            "ForwardRole",
            assumed_by=iam.ServicePrincipal(
                "events.amazonaws.com", conditions={"StringEquals": {"aws:SourceAccount": self.env.account}}
            ),
        )

    def tell_failures(self, state_machine: sfn.IStateMachine) -> None:
        """Forward what Step Functions says of executions that ended badly.

        A rule, and no `Catch` in the definition: an execution that was caught cannot be redriven where it failed, and a
        time-out or an abort is caught by nothing.
        """
        self.forward(
            "Execution",
            "FailedRule",
            "Executions that failed, timed out or were aborted.",
            events.EventPattern(
                source=["aws.states"],
                detail_type=["Step Functions Execution Status Change"],
                detail={"status": list(UNSUCCESSFUL), "stateMachineArn": [state_machine.state_machine_arn]},
            ),
        )

    def forward(self, what: str, id: str, description: str, pattern: events.EventPattern) -> None:
        """Send on, as it is, what an AWS service tells the account's default bus. `what` it tells of, in a word."""
        self.forwarding[what] = events.Rule(
            self,
            id,
            description=description,
            event_pattern=pattern,
            targets=[targets.EventBus(self, role=self._forwards)],
        )
