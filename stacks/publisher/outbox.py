"""The rule for uploads to the outbox."""

from aws_cdk import aws_events as events
from aws_cdk import aws_s3 as s3
from constructs import Construct

from stacks.deployment.names import OUTBOX


class OutboxRule(events.Rule):
    """The rule that sends S3's event about each upload to a target."""

    def __init__(self, scope: Construct, id: str, *, bucket: s3.IBucket, target: events.IRuleTarget) -> None:
        super().__init__(
            scope,
            id,
            description="Uploads to the outbox.",
            event_pattern=events.EventPattern(
                source=["aws.s3"],
                detail_type=["Object Created"],
                detail={
                    "bucket": {"name": [bucket.bucket_name]},
                    "object": {"key": events.Match.prefix(OUTBOX)},
                },
            ),
            targets=[target],
        )
