"""A payload that was processed becomes a data set: S3 copies it, a pipeline starts with it, the bus is told.

Everything is done again when an event comes again, and nothing twice: the same bytes take the place of the same bytes,
and SageMaker knows the execution by a token made of the message's id.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from claim_check import Dereferencer, MalformedMessage, Pointer, Store

if TYPE_CHECKING:
    from mypy_boto3_events.type_defs import PutEventsRequestEntryTypeDef
    from mypy_boto3_s3 import S3Client

UNNAMED = "data"
"""A payload that was no upload has no file's name; what it is, its content says."""


@dataclass(frozen=True, kw_only=True)
class Started:
    """What is told of an execution: the message, the data set's address, the execution and its pipeline."""

    message_id: str
    input: str
    execution: str
    pipeline: str


def take_in(
    handed: Mapping[str, Any],
    *,
    dereferencer: Dereferencer,
    data: Store,
    pipeline: str,
    s3: "S3Client",
    sagemaker: Any,
) -> Started:
    """Have S3 copy a payload below `data`, then start `pipeline` with it as its parameter `Input`.

    `handed` is what `Handover.to_input` made. `s3` and `sagemaker` are clients of the pipeline's Region.

    Raises:
        MalformedMessage: the event is not what is handed on.
        ClaimCheckError: as `Payload.copy_to`.
    """
    match handed:
        case {
            "message_id": str(message_id),
            "pointer": {"bucket": str(bucket), "key": str(key)},
            "summary": {"bytes": int(size), "sha256": str(sha256), "attributes": {**attributes}},
        }:
            pointer = Pointer(bucket, key)
        case _:
            raise MalformedMessage("the event's detail is not what is handed on: message_id, pointer and summary")
    payload = dereferencer.payload(pointer, size=size, message_id=message_id, sha256=sha256)
    copy = data.object_of(f"{message_id}/{file_name(str(attributes.get('outbox-key', '')))}")
    payload.copy_to(copy, s3=s3)
    address = str(copy.pointer)
    answer = sagemaker.start_pipeline_execution(
        PipelineName=pipeline,
        ClientRequestToken=hashlib.sha256(f"{pipeline}\n{message_id}".encode()).hexdigest(),
        PipelineExecutionDisplayName=display_name(message_id),
        PipelineExecutionDescription=f"Message {message_id}",
        PipelineParameters=[{"Name": "Input", "Value": address}],
    )
    execution = str(answer["PipelineExecutionArn"])
    return Started(message_id=message_id, input=address, execution=execution, pipeline=pipeline)


def file_name(outbox_key: str) -> str:
    """The name that the upload had, of letters, digits and . _ - alone: its ending says what it is."""
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", outbox_key.rpartition("/")[2])[-200:].lstrip(".-")
    return name or UNNAMED


def display_name(message_id: str) -> str:
    """What Studio shows; SageMaker takes letters and digits, and hyphens between."""
    return re.sub(r"[^A-Za-z0-9]+", "-", f"message-{message_id}").rstrip("-")


def event_of(started: Started, *, source: str, bus: str) -> "PutEventsRequestEntryTypeDef":
    """The entry for PutEvents."""
    return {
        "EventBusName": bus,
        "Source": source,
        "DetailType": "Pipeline started",
        "Detail": json.dumps(asdict(started)),
    }
