"""Lambda handler of the publish function.

EventBridge invokes it asynchronously. Lambda retries a failed event twice, then sends it to the dead-letter queue with
its reason. Senders get an event about each message.
"""

import os
import time
from functools import cache
from typing import TYPE_CHECKING, Any

import boto3
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext
from botocore.config import Config

from claim_check import ClaimCheckError, MessagingUnavailable, Published, Publisher, upload_id
from publish import report
from publish.dead_letter import send_to_dead_letters
from publish.event import publish_event
from publish.settings import Settings
from publish.upload import is_upload, publish_upload
from shared.telemetry import counting_errors, logger, metrics, record_processing_time

if TYPE_CHECKING:
    from mypy_boto3_events import EventBridgeClient

settings = Settings.from_environment(os.environ)
s3 = boto3.client("s3", region_name=settings.payload_store.region)
sqs = boto3.client("sqs")
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
    """Publish one EventBridge event, and report to its sender.

    An event that every attempt would refuse is dead-lettered at once. Other errors are raised.
    """
    metrics.add_metric(name="ReceivedEvents", unit=MetricUnit.Count, value=1)
    message_id = message_id_of(event)
    logger.append_keys(event_id=event["id"], source=event["source"], message_id=message_id)
    if is_folder(event):
        logger.info("ignored a folder marker")
        return {"message_id": None}
    started = time.monotonic()
    about: dict[str, Any] = {"message_id": message_id, "outbox_prefix": settings.outbox_prefix}
    try:
        with counting_errors():
            published = publish(event, message_id)
    except ClaimCheckError as error:
        if not error.permanent or error.repairable:
            raise
        report_to_senders(event, report.REFUSED, report.refused(event, error, **about))
        send_to_dead_letters(event, error, queue_url=settings.dead_letter_queue_url, sqs=sqs)
        return {"message_id": None}
    if published:
        metrics.add_metric(name="PublishedBytes", unit=MetricUnit.Bytes, value=published.size)
        record_processing_time(started)
        logger.info(
            "published",
            sns_message_id=published.service_message_id,
            bytes=published.size,
            sha256=published.sha256,
            offloaded=published.pointer is not None,
        )
    else:  # the earlier attempt can have ended before its report
        logger.info("already published")
    size = published.size if published else event["detail"]["object"]["size"]
    report_to_senders(event, report.PUBLISHED, report.published(event, size=size, **about))
    return {"message_id": published and published.message_id}


def message_id_of(event: dict[str, Any]) -> str:
    """Return the message's id: a digest of an upload's key and version, or the event's id."""
    if not is_upload(event):
        return str(event["id"])
    uploaded = event["detail"]["object"]
    logger.append_keys(upload=uploaded["key"])
    return upload_id(uploaded["key"], uploaded["version-id"])


def is_folder(event: dict[str, Any]) -> bool:
    """Return whether the event is about a folder marker of the S3 console: an empty object whose key ends in "/"."""
    uploaded = event["detail"].get("object", {}) if is_upload(event) else {}
    return uploaded.get("size") == 0 and str(uploaded.get("key")).endswith("/")


def publish(event: dict[str, Any], message_id: str) -> Published | None:
    """Publish an upload, or an event of the bus. Returns None for an upload that was published before."""
    if is_upload(event):
        return publish_upload(
            event,
            message_id=message_id,
            publisher=publisher,
            outbox_prefix=settings.outbox_prefix,
            maximum_bytes=settings.maximum_upload_bytes,
            senders=settings.sender_accounts,
            s3=s3,
            chosen=settings.outbox_attributes,
        )
    return publish_event(event, publisher=publisher)


def report_to_senders(event: dict[str, Any], detail_type: str, detail: dict[str, Any]) -> None:
    """Put an event on the buses of the event's senders. A failure is counted and logged: the message is not affected.

    A retry of the function would publish the message again.
    """
    for sender in report.senders_of(event, senders=settings.sender_accounts, outbox_prefix=settings.outbox_prefix):
        bus = settings.bus_of(sender)
        try:
            report.report(detail_type, detail, source=settings.deployment, bus=bus, client=events_client)
        except MessagingUnavailable:
            metrics.add_metric(name="ReportLost", unit=MetricUnit.Count, value=1)
            logger.exception("report lost", sender=sender, report=detail_type)


@cache
def events_client(region: str) -> "EventBridgeClient":
    """Return the client of a Region. Its timeouts are short, because the message is published already."""
    config = Config(connect_timeout=3, read_timeout=5, retries={"mode": "standard", "total_max_attempts": 3})
    return boto3.client("events", region_name=region, config=config)
