"""Entry point of the publish function. EventBridge invokes it asynchronously: what it raises is tried again twice, then
goes to the dead-letter queue with its reason."""

import json
import os
import time
from typing import Any, cast

import boto3
from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext

from claim_check import Offload, Published, Publisher, Store
from publish.event import publish_event
from publish.upload import publish_upload, upload_id

logger = Logger()
metrics = Metrics()
store = Store.from_dict(json.loads(os.environ["PAYLOAD_STORE"]))
s3 = boto3.client("s3", region_name=store.region)
publisher = Publisher(
    topic_arn=os.environ["TOPIC_ARN"],
    store=store,
    threshold=int(os.environ["THRESHOLD_BYTES"]),
    offload=cast("Offload", os.environ["OFFLOAD"]),
    s3=s3,
)
outbox, maximum = os.environ["OUTBOX_PREFIX"], int(os.environ["MAXIMUM_UPLOAD_BYTES"])
senders = json.loads(os.environ["SENDERS"])


@logger.inject_lambda_context(clear_state=True)
@metrics.log_metrics
def handler(event: dict[str, Any], _: LambdaContext) -> dict[str, Any]:
    """Publish one EventBridge event."""
    metrics.add_metric(name="ReceivedEvents", unit=MetricUnit.Count, value=1)
    logger.append_keys(event_id=event["id"], source=event["source"])
    if is_folder(event):
        logger.info("a folder, nothing to publish")
        return {"message_id": None}
    started = time.monotonic()
    try:
        published = publish(event)
    except Exception as error:
        metrics.add_metric(name=type(error).__name__, unit=MetricUnit.Count, value=1)
        logger.exception("failed")
        raise
    if published is None:
        logger.info("published before, nothing to do")
        return {"message_id": None}
    metrics.add_metric(name="PublishedBytes", unit=MetricUnit.Bytes, value=published.size)
    metrics.add_metric(name="ProcessingTime", unit=MetricUnit.Milliseconds, value=1000 * (time.monotonic() - started))
    logger.info(
        "published",
        sns_message_id=published.sns_message_id,
        bytes=published.size,
        sha256=published.sha256,
        offloaded=published.pointer is not None,
    )
    return {"message_id": published.message_id}


def is_folder(event: dict[str, Any]) -> bool:
    """Whether the event tells of what the S3 console makes to show a folder: an empty object that ends in a slash."""
    uploaded = event["detail"].get("object", {}) if event["source"] == "aws.s3" else {}
    return uploaded.get("size") == 0 and str(uploaded.get("key")).endswith("/")


def publish(event: dict[str, Any]) -> Published | None:
    """By the door that the event came through; None for an upload that was published before."""
    # Only S3 says `aws.s3`: EventBridge lets no sender use a source that begins with "aws.".
    if event["source"] == "aws.s3":
        uploaded = event["detail"]["object"]
        logger.append_keys(upload=uploaded["key"], message_id=upload_id(uploaded["key"], uploaded["version-id"]))
        return publish_upload(event, publisher=publisher, outbox=outbox, maximum=maximum, senders=senders, s3=s3)
    logger.append_keys(message_id=event["id"])
    return publish_event(event, publisher=publisher)
