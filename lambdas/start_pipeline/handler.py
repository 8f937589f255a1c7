"""Entry point of the function that takes data sets in. A rule of the subscriber's bus invokes it with `Payload
processed`; Lambda tries again what fails, then keeps it in the function's dead letters."""

import json
import os
from typing import Any

import boto3
from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext
from botocore.config import Config

from claim_check import Dereferencer, Store, s3_client
from start_pipeline.pipeline import event_of, take_in

logger = Logger()
dereferencer = Dereferencer(
    stores=[Store.from_dict(store) for store in json.loads(os.environ["TRUSTED_STORES"])],
    on_stale=lambda error: logger.warning("a replica has other bytes", problem=str(error)),
)
data = Store.from_dict(json.loads(os.environ["DATA_STORE"]))
s3 = s3_client(data.region)
sagemaker = boto3.client("sagemaker", config=Config(retries={"mode": "standard", "max_attempts": 8}))
events = boto3.client("events")


class EventNotAccepted(Exception):
    """The execution runs, and the bus did not take word of it."""


@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], _: LambdaContext) -> None:
    """An event of EventBridge, whose detail is what was handed on."""
    logger.append_keys(message_id=event["detail"].get("message_id"))
    started = take_in(
        event["detail"],
        dereferencer=dereferencer,
        data=data,
        pipeline=os.environ["PIPELINE"],
        s3=s3,
        sagemaker=sagemaker,
    )
    logger.info("pipeline started", execution=started.execution, input=started.input)
    told = events.put_events(Entries=[event_of(started, source=event["source"], bus=os.environ["EVENT_BUS"])])
    if told["FailedEntryCount"]:
        raise EventNotAccepted(told["Entries"][0]["ErrorMessage"])
