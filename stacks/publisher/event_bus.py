"""The event bus on which senders put events, with its rule and its archive."""

from aws_cdk import aws_events as events
from constructs import Construct

from stacks import cross_account
from stacks.common.defaults import Defaults
from stacks.deployment import PublisherConfig
from stacks.deployment.names import Names


class EventBus(events.EventBus):
    """The bus. Its archive stores events that are not published because of their detail-type."""

    def __init__(
        self, scope: Construct, id: str, *, names: Names, settings: PublisherConfig, defaults: Defaults
    ) -> None:
        bus = names.publisher.event_bus
        super().__init__(scope, id, event_bus_name=bus.name)
        self._detail_types = list(settings.detail_types)
        places = {sender.place.account: sender.place for sender in names.senders.values()}
        for _, place in sorted(places.items()):
            self.add_to_resource_policy(cross_account.put_events(bus, place, organization=defaults.organization))
        # The archive always exists, so that earlier events can be replayed after `detail_types` is removed from the
        # file. Without `detail_types` the archive stores nothing, because every event has a detail-type.
        unpublished = {"anything-but": self._detail_types} if settings.detail_types else {"exists": False}
        events.CfnArchive(
            self,
            "Archive",
            archive_name=names.publisher.archive.name,
            description="Events with another detail-type than the published ones.",
            source_arn=self.event_bus_arn,
            event_pattern={"source": [{"anything-but": {"prefix": "aws."}}], "detail-type": [unpublished]},
            retention_days=settings.archive_days,
        ).apply_removal_policy(defaults.removal_policy)

    def add_rule(self, target: events.IRuleTarget) -> events.Rule:
        """Return a new rule that sends the events of applications to the target."""
        return events.Rule(
            self,
            "Rule",
            description="Events that applications put on the bus.",
            event_bus=self,
            # All events except those of AWS services. A pattern cannot be empty.
            event_pattern=events.EventPattern(
                source=events.Match.anything_but_prefix("aws."), detail_type=self._detail_types or None
            ),
            targets=[target],
        )
