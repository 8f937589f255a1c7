"""A sender's account: the role with which its applications put events and upload."""

from aws_cdk import CfnOutput, Environment, Stack
from aws_cdk import aws_iam as iam
from constructs import Construct

from stacks.cross_account import grant_put_events, grant_upload
from stacks.deployment.names import PublisherNames, SenderNames


class SenderStack(Stack):
    """A sender's stack. It can be deployed before or after the publisher's."""

    def __init__(self, scope: Construct, names: SenderNames, *, publisher: PublisherNames) -> None:
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

        outbox = f"s3://{publisher.payload_bucket.bucket.name}/{names.outbox}"
        for output, value, description in (
            ("SenderRoleArn", role.role_arn, "The role of applications that send from this account."),
            ("EventBusArn", publisher.event_bus.arn, "The bus for their events."),
            ("OutboxUri", outbox, "The folder for their uploads. Each upload is published as a message."),
        ):
            CfnOutput(self, output, value=value, description=description)
