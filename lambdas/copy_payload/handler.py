"""Lambda handler of the copy function. A state machine invokes it with an execution's input, and retries errors."""

import os
from typing import Any

from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext

from claim_check import Dereferencer, s3_client
from copy_payload.copy import copy_payload
from copy_payload.settings import Settings
from shared.handoff import CHECKSUMS, HandOff
from shared.telemetry import count_stale_replica, counting_errors, logger, metrics

settings = Settings.from_environment(os.environ)
dereferencer = Dereferencer(stores=settings.trusted_stores, on_stale=count_stale_replica)
s3 = s3_client(settings.landing_store.region)


@logger.inject_lambda_context(clear_state=True)
@metrics.log_metrics
def handler(event: dict[str, Any], _: LambdaContext) -> dict[str, Any]:
    """Copy the payload of an execution's input. Returns the landed payload: object, size and checksums."""
    logger.append_keys(message_id=event.get("message_id"))
    with counting_errors():
        handoff = HandOff.from_input(event)
        landed = copy_payload(handoff, dereferencer=dereferencer, landing=settings.landing_store, s3=s3)
    metrics.add_metric(name="CopiedBytes", unit=MetricUnit.Bytes, value=handoff.bytes)
    checksums = {name: getattr(handoff, name) for name in CHECKSUMS}
    logger.info("copied", key=landed.key, bytes=handoff.bytes, **checksums)
    return {**landed.to_dict(), "bytes": handoff.bytes, **checksums}
