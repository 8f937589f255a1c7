"""Lambda handler of the publish function.

EventBridge invokes it asynchronously. Lambda retries a failed event twice, then sends it to the dead-letter queue with
its reason.
"""

import os
import time
from typing import Any

import boto3
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext

from claim_check import Published, Publisher
from publish.event import publish_event
from publish.settings import Settings
from publish.upload import publish_upload, upload_id
from shared.telemetry import counting_errors, logger, metrics, record_processing_time

settings = Settings.from_environment(os.environ)
s3 = boto3.client("s3", region_name=settings.payload_store.region)
publisher = Publisher(
    topic_arn=settings.topic_arn,
    store=settings.payload_store,
    threshold=settings.threshold_bytes,
    offload=settings.offload,
    s3=s3,
)


@logger.inject_lambda_context(clear_state=True)
@metrics.log_metrics
def handler(event: dict[str, Any], _: LambdaContext) -> dict[str, Any]:
    """Publish one EventBridge event."""
    metrics.add_metric(name="ReceivedEvents", unit=MetricUnit.Count, value=1)
    logger.append_keys(event_id=event["id"], source=event["source"])
    if is_folder(event):
        logger.info("ignored a folder marker")
        return {"message_id": None}
    started = time.monotonic()
    with counting_errors():
        published = publish(event)
    if published is None:
        logger.info("already published")
        return {"message_id": None}
    metrics.add_metric(name="PublishedBytes", unit=MetricUnit.Bytes, value=published.size)
    record_processing_time(started)
    logger.info(
        "published",
        sns_message_id=published.service_message_id,
        bytes=published.size,
        sha256=published.sha256,
        offloaded=published.pointer is not None,
    )
    return {"message_id": published.message_id}


def is_folder(event: dict[str, Any]) -> bool:
    """Return whether the event is about a folder marker of the S3 console: an empty object whose key ends in "/"."""
    uploaded = event["detail"].get("object", {}) if event["source"] == "aws.s3" else {}
    return uploaded.get("size") == 0 and str(uploaded.get("key")).endswith("/")


def publish(event: dict[str, Any]) -> Published | None:
    """Publish an upload, or an event of the bus. Returns None for an upload that was published before."""
    # EventBridge rejects senders' events with a source that begins with "aws.", so an event with this source is S3's.
    if event["source"] == "aws.s3":
        uploaded = event["detail"]["object"]
        logger.append_keys(upload=uploaded["key"], message_id=upload_id(uploaded["key"], uploaded["version-id"]))
        return publish_upload(
            event,
            publisher=publisher,
            outbox_prefix=settings.outbox_prefix,
            maximum_bytes=settings.maximum_upload_bytes,
            senders=settings.senders,
            s3=s3,
        )
    logger.append_keys(message_id=event["id"])
    return publish_event(event, publisher=publisher)
