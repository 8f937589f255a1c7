"""Entry point of the consume function of a Lambda subscriber. SNS invokes it asynchronously, one record at a time: what
it raises is tried again twice, then goes to the dead-letter queue with its reason."""

import json
import os
from typing import Any

import boto3
from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.idempotency import (
    DynamoDBPersistenceLayer,
    IdempotencyConfig,
    idempotent_function,
)
from aws_lambda_powertools.utilities.typing import LambdaContext

from claim_check import Dereferencer, Message, Store
from consume_topic.task import Runner, run_task
from handover import take_over

logger = Logger()
metrics = Metrics()
inbox = Store.from_dict(json.loads(os.environ["INBOX"]))
inbox_s3 = boto3.client("s3", region_name=inbox.region)
dereferencer = Dereferencer(stores=[Store.from_dict(store) for store in json.loads(os.environ["TRUSTED_STORES"])])
runner = Runner(
    cluster=os.environ["CLUSTER_ARN"],
    task_definition=os.environ["TASK_DEFINITION_ARN"],
    container=os.environ["CONTAINER"],
    subnets=os.environ["SUBNETS"].split(","),
    security_group=os.environ["SECURITY_GROUP"],
)
ecs = boto3.client("ecs")
remembered = DynamoDBPersistenceLayer(table_name=os.environ["HANDED_ON_TABLE"])
idempotency = IdempotencyConfig(expires_after_seconds=int(os.environ["REMEMBERED_SECONDS"]))


@idempotent_function(  # type: ignore[untyped-decorator]
    data_keyword_argument="message_id", persistence_store=remembered, config=idempotency, key_prefix="hand-on"
)
def hand_on(*, message_id: str, message: Message) -> str:  # noqa: ARG001 - the decorator reads message_id
    """Once per message id, for as long as its payload lives."""
    handover = take_over(message, inbox=inbox, inbox_s3=inbox_s3)
    arn = run_task(handover, runner=runner, ecs=ecs)
    metrics.add_metric(name="ConsumedBytes", unit=MetricUnit.Bytes, value=handover.bytes)
    logger.info("handed on", task=arn, bytes=handover.bytes, sha256=handover.sha256)
    return arn


@logger.inject_lambda_context(clear_state=True)
@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> None:
    """An SNS event."""
    idempotency.register_lambda_context(context)
    for record in event["Records"]:
        metrics.add_metric(name="ReceivedMessages", unit=MetricUnit.Count, value=1)
        try:
            message = dereferencer.message(record)
            logger.append_keys(message_id=message.id)
            hand_on(message_id=message.id, message=message)
        except Exception as error:
            metrics.add_metric(name=type(error).__name__, unit=MetricUnit.Count, value=1)
            raise
