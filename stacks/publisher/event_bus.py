"""The event bus on which senders put events, with its rule and its archive."""

from collections.abc import Sequence

from aws_cdk import aws_events as events
from constructs import Construct

from stacks import cross_account
from stacks.common.defaults import Defaults
from stacks.deployment.names import PublisherNames, SenderNames


class EventBus(events.EventBus):
    """The bus. Its archive stores the events that are not published, because of their detail-type."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        names: PublisherNames,
        senders: Sequence[SenderNames],
        detail_types: Sequence[str],
        archive_days: int,
        defaults: Defaults,
    ) -> None:
        super().__init__(scope, id, event_bus_name=names.event_bus.name)
        self._detail_types = list(detail_types)
        places = {sender.place.account: sender.place for sender in senders}
        for account in sorted(places):
            self.add_to_resource_policy(
                cross_account.put_events(names.event_bus, places[account], organization=defaults.organization)
            )
        # Always there: events stored earlier can be replayed after `detail_types` is removed from the file. Without
        # detail-types the archive stores nothing, because every event has one.
        unpublished = {"anything-but": self._detail_types} if detail_types else {"exists": False}
        events.CfnArchive(
            self,
            "Archive",
            archive_name=names.archive.name,
            description="Events with another detail-type than the published ones.",
            source_arn=self.event_bus_arn,
            event_pattern={"source": [{"anything-but": {"prefix": "aws."}}], "detail-type": [unpublished]},
            retention_days=archive_days,
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
