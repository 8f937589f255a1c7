"""Lambda handler that copies a payload to the data bucket and starts the pipeline.

A rule of the subscriber's bus invokes it with `Payload processed` events. Lambda retries a failed event, then sends it
to the function's dead-letter queue.
"""

import os
from typing import Any

import boto3
from aws_lambda_powertools.utilities.typing import LambdaContext
from botocore.config import Config

from claim_check import Dereferencer, s3_client
from shared.handoff import HandOff
from shared.telemetry import log_stale_replica, logger
from start_pipeline.pipeline import event_of, start_pipeline
from start_pipeline.settings import Settings

settings = Settings.from_environment(os.environ)
dereferencer = Dereferencer(stores=settings.trusted_stores, on_stale=log_stale_replica)
s3 = s3_client(settings.data_store.region)
sagemaker = boto3.client("sagemaker", config=Config(retries={"mode": "standard", "max_attempts": 8}))
events = boto3.client("events")


class EventNotAccepted(Exception):
    """The pipeline was started, but the event bus did not accept the event about it."""


@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], _: LambdaContext) -> None:
    """Process an event whose detail is a hand-off."""
    logger.append_keys(message_id=event["detail"].get("message_id"))
    execution = start_pipeline(
        HandOff.from_input(event["detail"]),
        dereferencer=dereferencer,
        data=settings.data_store,
        pipeline=settings.pipeline,
        s3=s3,
        sagemaker=sagemaker,
    )
    logger.info("pipeline started", execution=execution.execution, input=execution.input)
    response = events.put_events(Entries=[event_of(execution, source=event["source"], bus=settings.event_bus)])
    if response["FailedEntryCount"]:
        raise EventNotAccepted(response["Entries"][0]["ErrorMessage"])
