"""The event bus on which senders put events, with its rule and its archive."""

from itertools import pairwise

from aws_cdk import aws_events as events
from constructs import Construct

from stacks import cross_account
from stacks.common.defaults import Defaults
from stacks.deployment import PublisherConfig
from stacks.deployment.names import Names
from stacks.deployment.quotas import unmatched_pattern


class EventBus(events.EventBus):
    """The bus. Its archive stores events that are not published because of their detail-type."""

    def __init__(
        self, scope: Construct, id: str, *, names: Names, settings: PublisherConfig, defaults: Defaults
    ) -> None:
        super().__init__(scope, id, event_bus_name=names.publisher.event_bus.name)
        # EventBridge deletes no bus that has an archive, so the bus stays when the archive stays. The policies do not
        # stay: the bus then accepts no events.
        self.apply_removal_policy(defaults.removal_policy)
        self._detail_types = list(settings.detail_types)
        places = {sender.place.account: sender.place for sender in names.senders.values()}
        policies = [
            events.CfnEventBusPolicy(
                self,
                f"PutEventsFrom{account}",
                event_bus_name=self.event_bus_name,
                # The id may have to be unique in the account, across its buses. (aws-cdk #29627.)
                statement_id=f"{defaults.name}-{account}",
                statement=cross_account.put_events(
                    names.publisher.event_bus, place, organization=defaults.organization
                ).to_statement_json(),
            )
            for account, place in sorted(places.items())
        ]
        for earlier, later in pairwise(policies):
            # Parallel calls to PutPermission can lose a statement without an error.
            later.add_resource_dependency(earlier)
        # The archive always exists, so that earlier events can be replayed after `detail_types` is removed from the
        # file.
        events.CfnArchive(
            self,
            "Archive",
            archive_name=names.publisher.archive.name,
            description="Events with another detail-type than the published ones.",
            source_arn=self.event_bus_arn,
            event_pattern=unmatched_pattern(settings.detail_types),
            retention_days=settings.archive_days,
        ).apply_removal_policy(defaults.removal_policy)

    def add_rule(self, target: events.IRuleTarget) -> events.Rule:
        """Return a new rule that sends the events of applications to the target."""
        return events.Rule(
            self,
            "Rule",
            description="Events that applications put on the bus.",
            event_bus=self,
            event_pattern=events.EventPattern(
                source=events.Match.any_of(
                    events.Match.anything_but_prefix("aws."), events.Match.prefix("aws.partner/")
                ),
                detail_type=self._detail_types or None,
            ),
            targets=[target],
        )
