"""Entry point of the function that lands payloads. A state machine invokes it with its own input: what it raises is
tried again, or caught, there."""

import json
import os
from typing import Any

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext

from claim_check import Dereferencer, PayloadCorrupt, Store, s3_client
from copy_payload.copy import land

logger = Logger()
metrics = Metrics()


def count_stale(error: PayloadCorrupt) -> None:
    """Replication lags: nothing to act on, the payload is read elsewhere."""
    metrics.add_metric(name="StaleReplica", unit=MetricUnit.Count, value=1)
    logger.warning("a replica has other bytes", problem=str(error))


dereferencer = Dereferencer(
    stores=[Store.from_dict(store) for store in json.loads(os.environ["TRUSTED_STORES"])], on_stale=count_stale
)
landing = Store.from_dict(json.loads(os.environ["LANDING_STORE"]))
s3 = s3_client(landing.region)


@logger.inject_lambda_context(clear_state=True)
@metrics.log_metrics
def handler(event: dict[str, Any], _: LambdaContext) -> dict[str, Any]:
    """An execution's input; answers where the payload is now."""
    logger.append_keys(message_id=event.get("message_id"))
    try:
        landed = land(event, dereferencer=dereferencer, landing=landing, s3=s3)
    except Exception as error:
        metrics.add_metric(name=type(error).__name__, unit=MetricUnit.Count, value=1)
        logger.exception("failed")
        raise
    metrics.add_metric(name="CopiedBytes", unit=MetricUnit.Bytes, value=landed["bytes"])
    logger.info("landed", key=landed["key"], bytes=landed["bytes"], sha256=landed["sha256"])
    return landed
