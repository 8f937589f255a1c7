"""A sender's account: the one role with which its applications put events and upload."""

from aws_cdk import CfnOutput, Environment, Stack
from aws_cdk import aws_iam as iam
from constructs import Construct

from stacks import cross_account as boundary
from stacks.common.acknowledgement import acknowledge_wildcards
from stacks.common.findings import ANY_KEY, BELOW_A_PREFIX
from stacks.deployment import Deployment, SenderConfig, names


class SenderStack(Stack):
    """Deployed before or after the publisher's stack: neither needs the other to be there."""

    def __init__(self, scope: Construct, deployment: Deployment, sender: SenderConfig) -> None:
        super().__init__(
            scope,
            names.sender_stack(deployment, sender),
            env=Environment(account=sender.account, region=sender.region or deployment.publisher.region),
            description="coatcheck: sends messages of any size, as events and as uploads.",
        )
        role = iam.Role(
            self,
            "Role",
            role_name=names.sender_role(deployment, sender),
            description="Assumed by applications of this account that send messages.",
            assumed_by=iam.AccountPrincipal(sender.account),
        )
        bus, bucket = names.event_bus_arn(deployment), names.payload_bucket(deployment)
        outbox = names.sender_outbox(sender)
        uploads = f"{names.payload_bucket_arn(deployment)}/{outbox}*"
        for statement in (
            iam.PolicyStatement(sid="PutEvents", actions=["events:PutEvents"], resources=[bus]),
            iam.PolicyStatement(sid="Upload", actions=list(boundary.UPLOAD), resources=[uploads]),
            iam.PolicyStatement(
                sid="EncryptUploads",
                actions=list(boundary.ENCRYPT),
                resources=[names.any_key_arn(deployment)],
                conditions={"StringEquals": boundary.through_s3(deployment)},
            ),
        ):
            role.add_to_principal_policy(statement)
        acknowledge_wildcards(role, {BELOW_A_PREFIX: [uploads], ANY_KEY: [names.any_key_arn(deployment)]})

        for output, value, what in (
            ("SenderRoleArn", role.role_arn, "What applications of this account send as."),
            ("EventBusArn", bus, "Where they put events."),
            ("OutboxUri", f"s3://{bucket}/{outbox}", "Where they upload what is to become a message."),
        ):
            CfnOutput(self, output, value=value, description=what)
