"""A replica of the payloads in another Region, for the subscribers there: a bucket, and a key of its own."""

from aws_cdk import Environment, Stack
from aws_cdk import aws_kms as kms
from constructs import Construct

from stacks import cross_account as boundary
from stacks.common.alarms import Operations
from stacks.common.removal import removal_policy
from stacks.deployment import Deployment, names
from stacks.publisher.payload_bucket import ReplicaBucket


class ReplicaStack(Stack):
    """In the publisher's account, deployed before the publisher's stack, which has S3 fill it."""

    def __init__(self, scope: Construct, deployment: Deployment, region: str) -> None:
        super().__init__(
            scope,
            names.replica_stack(deployment, region),
            env=Environment(account=deployment.publisher.account, region=region),
            termination_protection=not deployment.ephemeral,
            description="coatcheck: payloads, replicated for subscribers in this Region.",
        )
        key = kms.Key(
            self,
            "Key",
            alias=names.replica_key_alias(deployment),
            description=f"{deployment.name}: replicated payloads",
            enable_key_rotation=True,
            removal_policy=removal_policy(deployment),
        )
        bucket = ReplicaBucket(self, "ReplicaBucket", deployment=deployment, region=region, key=key)
        for subscriber in deployment.subscribers:
            if region in names.replicas_near(deployment, subscriber):
                bucket.add_to_resource_policy(boundary.read_payloads(deployment, subscriber, region))
                key.add_to_resource_policy(boundary.decrypt_payloads(deployment, subscriber, region))
        # No dashboard: the publisher's shows both Regions. Lag is counted here, and an alarm is where its metric is.
        Operations(self, "Operations", deployment=deployment).watch_replica(region)
