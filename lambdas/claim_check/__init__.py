"""claim_check: messages of any size through SNS.

A payload that does not fit into a message is *offloaded*: written to a *store* in S3, while the message carries a
*pointer*. A subscriber *dereferences* it, from the stores it trusts and from no other place.

For example::

    publisher = Publisher(topic_arn=…, store=Store("payloads-111111111111", "payloads/", "111111111111", "eu-west-1"))
    publisher.publish(Path("scan.tiff"), message_id="scan-0815")

    dereferencer = Dereferencer(stores=[Store(…)])
    for outcome in dereferencer.outcomes(event["Records"]):
        if outcome.error: …                     # of this record only; outcome.error.permanent: dead-letter it
        else: outcome.message.payload.download_to("/tmp/scan.tiff")

For HTTPS: `claim_check.https.Endpoint`. It needs the package `cryptography`, and no other module imports it.

The library needs boto3. It reads no environment variable, patches nothing, and deletes no payload that it received.
"""

from claim_check.errors import (
    ClaimCheckError,
    Disposition,
    InvalidMessage,
    MalformedMessage,
    MessagingDenied,
    MessagingUnavailable,
    PayloadConflict,
    PayloadCorrupt,
    PayloadDenied,
    PayloadMissing,
    PayloadRejected,
    PayloadTooLarge,
    PayloadUnavailable,
    UntrustedNotification,
    UntrustedStore,
    disposition,
    error_classes,
)
from claim_check.publishing.batch import Entry, EntryOutcome
from claim_check.publishing.event import put_event
from claim_check.publishing.offload import Offloaded, offload
from claim_check.publishing.outgoing_message import Published, group_id_of
from claim_check.publishing.publisher import Offload, Publisher
from claim_check.publishing.s3_object import UploadedObject, find_copy, uploaded_object
from claim_check.publishing.send import Sent, send, upload_id
from claim_check.receiving.dereferencer import Dereferencer, Outcome
from claim_check.receiving.message import Message
from claim_check.receiving.payload import Digest, Payload
from claim_check.receiving.proof import Proof
from claim_check.s3.client import s3_client
from claim_check.s3.object_options import ObjectOptions
from claim_check.s3.reported import Reported
from claim_check.store import Replica, S3Object, Store
from claim_check.wire.attribute import RESERVED_ATTRIBUTES, Attribute, checked_attributes
from claim_check.wire.pointer import Pointer

__all__ = [
    "RESERVED_ATTRIBUTES",
    "Attribute",
    "ClaimCheckError",
    "Dereferencer",
    "Digest",
    "Disposition",
    "Entry",
    "EntryOutcome",
    "InvalidMessage",
    "MalformedMessage",
    "Message",
    "MessagingDenied",
    "MessagingUnavailable",
    "ObjectOptions",
    "Offload",
    "Offloaded",
    "Outcome",
    "Payload",
    "PayloadConflict",
    "PayloadCorrupt",
    "PayloadDenied",
    "PayloadMissing",
    "PayloadRejected",
    "PayloadTooLarge",
    "PayloadUnavailable",
    "Pointer",
    "Proof",
    "Published",
    "Publisher",
    "Replica",
    "Reported",
    "S3Object",
    "Sent",
    "Store",
    "UntrustedNotification",
    "UntrustedStore",
    "UploadedObject",
    "checked_attributes",
    "disposition",
    "error_classes",
    "find_copy",
    "group_id_of",
    "offload",
    "put_event",
    "s3_client",
    "send",
    "upload_id",
    "uploaded_object",
]
