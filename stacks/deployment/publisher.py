"""The tables `[publisher]` and `[publisher.outbox]` of the deployment file."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field
from typing_extensions import Doc

from stacks.deployment.types import Account, Array, Region, Table, Unique, pattern

SNS_DEFAULT_MAXIMUM_BYTES = 262_144
"""Maximum message size of an SNS topic that sets none."""
SNS_LARGEST_MAXIMUM_BYTES = 1_048_576
ARCHIVED_OVER_BYTES = 1_048_576
"""Size over which payloads move to Glacier. The transition of a smaller one can cost more than it saves."""

RESERVED_METADATA = ("source", "detail-type", "account", "time", "resources", "sender", "outbox-key", "metadata")
"""Attributes that the publish function sets."""
MetadataName = Annotated[
    str,
    pattern(
        rf"(?!({'|'.join(RESERVED_METADATA)})$)[a-z0-9_-]{{1,128}}",
        "must be a name of metadata in lower case, and no attribute that coatcheck sets, such as source.",
    ),
    Doc("name of metadata"),
]
DetailType = Annotated[str, Field(min_length=1, max_length=128)]


class OutboxConfig(Table):
    """`[publisher.outbox]`: uploads to the payload bucket that are published as messages."""

    maximum_bytes: int = Field(default=2 * 1024**3, ge=1024, le=500 * 1024**3)
    """Largest upload in bytes. A larger upload is refused, and its sender gets an event with the reason. S3 copies
    about 700 GB in the 15 minutes of the publish function.
    """
    attributes: Annotated[Array[MetadataName], Unique, Field(max_length=3)] = ()
    """Names of an upload's metadata that become message attributes, in lower case. The other metadata arrive together
    in the attribute `metadata`, as JSON. Without this key, each entry is an attribute if there are at most four.
    """


class PublisherConfig(Table):
    """`[publisher]`: the account that owns topic, payload bucket and event bus."""

    account: Account
    """The publisher's account."""
    region: Region
    """Region of topic, payload bucket and event bus."""
    replicas: Annotated[Array[Region], Unique] = ()
    """Regions that S3 replicates payloads to, each with a subscriber in it. See [replicas](replicas.md)."""
    fifo: bool = False
    """A FIFO topic and FIFO queues: messages of a group are delivered in order. See
    [order](sending-and-receiving.md#order). Allows subscribers of kind `sqs` only: SNS does not deliver from a FIFO
    topic to Lambda or HTTPS.
    """
    maximum_message_bytes: int = Field(default=SNS_DEFAULT_MAXIMUM_BYTES, ge=1024, le=SNS_LARGEST_MAXIMUM_BYTES)
    """Size in bytes over which a payload is offloaded to S3. Also the topic's maximum message size, which is never less
    than 262144, because a pointer's attributes count. At most 262144 with subscribers of kind `lambda` or `https`.
    """
    offload: Literal["over-threshold", "always", "never"] = "over-threshold"
    """Payloads to offload. With `"never"`, uploads are rejected, and so is a payload that does not fit into a message
    or is not text.
    """
    detail_types: Annotated[Array[DetailType], Unique] = ()
    """Detail-types of events to publish. An event with another detail-type is archived and can be
    [replayed](runbook.md#replay-events-that-were-not-published). Without any, all events are published.
    """
    archive_days: int = Field(default=30, ge=1, le=3650)
    """Retention of archived events. Also applies to earlier events after `detail_types` is removed."""
    payload_lifetime_days: int = Field(default=101, ge=1, le=3650)
    """Retention of offloaded payloads. See [minimum payload lifetime](#minimum-payload-lifetime)."""
    glacier_after_days: int | None = Field(default=None, ge=1, le=3650)
    """Days after which a payload over 1 MiB moves to Glacier Instant Retrieval. It is read as fast as before, and each
    read costs more. Without it, payloads stay in S3 Standard. See [storage classes](scale.md#storage-classes).
    """
    accept_expired_pointers: bool = False
    """Allows a `payload_lifetime_days` below the minimum."""
    delivery_log_percent: int | None = Field(default=None, ge=0, le=100)
    """Delivery status log of the topic, in CloudWatch Logs: all failed deliveries, and this percentage of the
    successful ones. Without it, there is no log.
    """
    outbox: OutboxConfig = OutboxConfig()
    """Uploads."""
