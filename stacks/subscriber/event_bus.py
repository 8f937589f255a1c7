"""A subscriber's event bus, with events about each payload."""

from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from stacks.common.defaults import Defaults
from stacks.common.service_role import ServiceRole
from stacks.deployment.names import SubscriberNames
from stacks.deployment.state_machine import UNSUCCESSFUL

PROCESSED = "Payload processed"
"""Detail type of the event that the state machine publishes. Its detail is the execution's output."""


class SubscriberBus(events.EventBus):
    """The bus, and rules that forward events of AWS to it from the account's default bus.

    AWS services deliver events on a best-effort basis, so the alarm `ExecutionsFailed` does not depend on them. The
    rules have no dead-letter queue, because such events cannot be redriven.
    """

    def __init__(self, scope: Construct, id: str, *, names: SubscriberNames, defaults: Defaults) -> None:
        super().__init__(scope, id, event_bus_name=names.event_bus.name)
        # EventBridge deletes no bus that has rules, and applications add theirs.
        self.apply_removal_policy(defaults.removal_policy)
        self.forwarding_rules: dict[str, events.Rule] = {}
        """The rules, by the name of the alarm on their failures."""
        self._role = ServiceRole(self, "ForwardRole", service="events", account=names.place.account)

    def forward_failures(self, state_machine: sfn.IStateMachine) -> None:
        """Forward Step Functions' events about unsuccessful executions.

        A `Catch` in the definition cannot replace them. It does not apply to the execution's timeout or abort, and a
        caught execution cannot be redriven from the state that failed.
        """
        self.forward(
            "FailedRule",
            alarm="ExecutionEventsLost",
            description="Executions that failed, timed out or were aborted.",
            pattern=events.EventPattern(
                source=["aws.states"],
                detail_type=["Step Functions Execution Status Change"],
                detail={"status": list(UNSUCCESSFUL), "stateMachineArn": [state_machine.state_machine_arn]},
            ),
        )

    def forward(self, id: str, *, alarm: str, description: str, pattern: events.EventPattern) -> None:
        """Forward matching events of the account's default bus, unchanged."""
        self.forwarding_rules[alarm] = events.Rule(
            self, id, description=description, event_pattern=pattern, targets=[targets.EventBus(self, role=self._role)]
        )
