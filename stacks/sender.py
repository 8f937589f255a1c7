"""A sender's account: the role with which its applications put events and upload, and the bus for the replies."""

from aws_cdk import CfnOutput, Environment, Stack
from aws_cdk import aws_events as events
from aws_cdk import aws_iam as iam
from constructs import Construct

from stacks.common.defaults import Defaults
from stacks.cross_account import grant_put_events, grant_upload, report
from stacks.deployment.names import SenderNames


class SenderStack(Stack):
    """A sender's stack. It can be deployed before or after the publisher's."""

    def __init__(self, scope: Construct, names: SenderNames, *, defaults: Defaults) -> None:
        publisher = names.publisher
        super().__init__(
            scope,
            names.stack,
            env=Environment(account=names.place.account, region=names.place.region),
            description="coatcheck: sends messages of any size, as events and as uploads.",
        )
        role = iam.Role(
            self,
            "Role",
            role_name=names.role.name,
            description="Assumed by applications of this account that send messages.",
            assumed_by=iam.AccountPrincipal(names.place.account),
        )
        grant_put_events(role, publisher.event_bus)
        grant_upload(role, names, publisher.payload_bucket)
        bus = events.EventBus(self, "EventBus", event_bus_name=names.event_bus.name)
        # EventBridge deletes no bus that has rules, and applications add theirs.
        bus.apply_removal_policy(defaults.removal_policy)
        events.CfnEventBusPolicy(
            self,
            "EventBusPolicy",
            event_bus_name=bus.event_bus_name,
            statement_id=names.event_bus.name,
            statement=report(names, organization=defaults.organization).to_statement_json(),
        )

        outbox = f"s3://{publisher.payload_bucket.bucket.name}/{names.outbox}"
        for output, value, description in (
            ("SenderRoleArn", role.role_arn, "The role of applications that send from this account."),
            ("EventBusArn", publisher.event_bus.arn, "The bus for their events."),
            ("ReportBusArn", bus.event_bus_arn, "The bus with an event about each message: published, or refused."),
            ("OutboxUri", outbox, "The folder for their uploads. Each upload is published as a message."),
        ):
            CfnOutput(self, output, value=value, description=description)
