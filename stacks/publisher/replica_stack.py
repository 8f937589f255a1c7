"""A replica of the payloads in another Region, for the subscribers there."""

from aws_cdk import Environment, Stack
from constructs import Construct

from stacks.common.alarms import Alarms
from stacks.common.defaults import Defaults
from stacks.deployment import PublisherConfig
from stacks.deployment.names import Names, ReplicaNames
from stacks.publisher.payload_bucket import PayloadBucket


class ReplicaStack(Stack):
    """A replica bucket in the publisher's account.

    Deploy it before the publisher's stack, which configures replication.
    """

    def __init__(
        self, scope: Construct, replica: ReplicaNames, *, names: Names, settings: PublisherConfig, defaults: Defaults
    ) -> None:
        super().__init__(
            scope,
            replica.stack,
            env=Environment(account=replica.place.account, region=replica.place.region),
            termination_protection=defaults.termination_protection,
            description="coatcheck: payloads, replicated for subscribers in this Region.",
        )
        PayloadBucket(
            self,
            "ReplicaBucket",
            names=replica,
            key_description="replicated payloads",
            key_alias=replica.key_alias.name,
            subscribers=[subscriber for subscriber in names.subscribers.values() if replica in subscriber.replicas],
            settings=settings,
            defaults=defaults,
        )
        # S3 reports the lag in this Region, so the alarm is here. The publisher's dashboard shows the metrics.
        Alarms(self, "Alarms", defaults=defaults).add_replica_alarm(names.publisher.payload_bucket, replica)
