"""Lambda handler of the copy function. A state machine invokes it with an execution's input, and retries errors."""

import os
from typing import Any

from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext

from claim_check import Dereferencer, S3Object, s3_client
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
        landed = copy_payload(handoff)
    metrics.add_metric(name="CopiedBytes", unit=MetricUnit.Bytes, value=handoff.bytes)
    checksums = {name: getattr(handoff, name) for name in CHECKSUMS}
    logger.info("copied", key=landed.key, bytes=handoff.bytes, **checksums)
    return {**landed.to_dict(), "bytes": handoff.bytes, **checksums}


def copy_payload(handoff: HandOff) -> S3Object:
    """Copy the payload in S3 to `landed/<message id>`, and return the copy. Repeating the call writes the same bytes.

    Size and SHA-256 of the copy are compared with the hand-off. Above 5 GiB, S3 has no SHA-256 of the whole object, so
    the CRC64NVME of both objects is compared.

    Raises:
        ClaimCheckError: The errors of `HandOff.payload` and `Payload.copy_to`.
    """
    landed = settings.landing_store.object_of(handoff.message_id)
    handoff.payload(dereferencer).copy_to(landed, s3=s3)
    return landed
