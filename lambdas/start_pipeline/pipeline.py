"""A processed payload as the input of a SageMaker pipeline.

Every step is idempotent. Copying again writes the same bytes, and SageMaker starts one execution for each request
token, which is derived from the message's id.
"""

import hashlib
import json
import re
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from claim_check import Dereferencer, Store
from shared.handoff import HandOff

if TYPE_CHECKING:
    from mypy_boto3_events.type_defs import PutEventsRequestEntryTypeDef
    from mypy_boto3_s3 import S3Client

DEFAULT_FILE_NAME = "data"
"""Name of a payload that was not an upload and therefore has no file name."""


@dataclass(frozen=True, kw_only=True)
class PipelineExecution:
    """An execution of a pipeline: the detail of the event `Pipeline started`. `input` is the data set's S3 URI."""

    message_id: str
    input: str
    execution: str
    pipeline: str


def start_pipeline(
    handoff: HandOff, *, dereferencer: Dereferencer, data: Store, pipeline: str, s3: "S3Client", sagemaker: Any
) -> PipelineExecution:
    """Copy the payload in S3 to `data`, then start `pipeline` with the copy's URI as its parameter `Input`.

    `s3` and `sagemaker` are clients of the pipeline's Region.

    Raises:
        ClaimCheckError: The errors of `HandOff.payload` and `Payload.copy_to`.
    """
    message_id = handoff.message_id
    copy = data.object_of(f"{message_id}/{file_name(handoff.attributes.get('outbox-key', ''))}")
    handoff.payload(dereferencer).copy_to(copy, s3=s3)
    response = sagemaker.start_pipeline_execution(
        PipelineName=pipeline,
        ClientRequestToken=hashlib.sha256(f"{pipeline}\n{message_id}".encode()).hexdigest(),
        PipelineExecutionDisplayName=display_name(message_id),
        PipelineExecutionDescription=f"Message {message_id}",
        PipelineParameters=[{"Name": "Input", "Value": str(copy.pointer)}],
    )
    return PipelineExecution(
        message_id=message_id,
        input=str(copy.pointer),
        execution=str(response["PipelineExecutionArn"]),
        pipeline=pipeline,
    )


def file_name(outbox_key: str) -> str:
    """Return the upload's file name, reduced to letters and digits of any script, and `._-`. It names a sample."""
    name = re.sub(r"[^\w.-]+", "-", outbox_key.rpartition("/")[2])[-200:].lstrip(".-")
    return name or DEFAULT_FILE_NAME


def display_name(message_id: str) -> str:
    """Return the execution's name in Studio. SageMaker allows letters and digits, with hyphens between them."""
    return re.sub(r"[^A-Za-z0-9]+", "-", f"message-{message_id}").rstrip("-")


def event_of(execution: PipelineExecution, *, source: str, bus: str) -> "PutEventsRequestEntryTypeDef":
    """Return the entry for PutEvents."""
    return {
        "EventBusName": bus,
        "Source": source,
        "DetailType": "Pipeline started",
        "Detail": json.dumps(asdict(execution)),
    }
