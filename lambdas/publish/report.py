"""Reports to senders: an event about each of their messages, published or refused, on the bus in their own account.

A message's sender is the account that EventBridge or S3 reports, not a value in the message. For an upload, it is also
the folder: the bucket's policy allows it to that sender's role only.
"""

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from claim_check import ClaimCheckError, MessagingUnavailable, put_event
from publish.upload import folder_of, is_upload

if TYPE_CHECKING:
    from mypy_boto3_events import EventBridgeClient

PUBLISHED = "Message published"
REFUSED = "Message refused"
_PROBLEM_CHARACTERS = 1000
_ATTEMPTS = 3


def senders_of(event: Mapping[str, Any], *, senders: Mapping[str, str], outbox_prefix: str) -> list[str]:
    """Return the names of an event's senders: one or none for an upload, and all of the account for another event.

    `senders` has the accounts by sender. EventBridge reports the account of an event, and not its role.
    """
    if not is_upload(event):
        return [name for name, account in senders.items() if account == event["account"]]
    folder = folder_of(event["detail"]["object"]["key"].removeprefix(outbox_prefix))
    return [folder] if senders.get(folder) == event["detail"]["requester"] else []


def published(event: Mapping[str, Any], *, message_id: str, size: int, outbox_prefix: str) -> dict[str, Any]:
    """Return the detail of the report about a published message of `size` bytes. It has no pointer."""
    return {"message_id": message_id, "bytes": size, **_upload(event, outbox_prefix)}


def refused(event: Mapping[str, Any], error: ClaimCheckError, *, message_id: str, outbox_prefix: str) -> dict[str, Any]:
    """Return the detail of the report about a refused message: the error's class and text, without a pointer."""
    problem = error.problem[:_PROBLEM_CHARACTERS].encode(errors="replace").decode()
    reason = {"reason": type(error).__name__, "problem": problem}
    return {"message_id": message_id, **reason, **_upload(event, outbox_prefix)}


def report(
    detail_type: str,
    detail: Mapping[str, Any],
    *,
    source: str,
    bus: str,
    client: Callable[[str], "EventBridgeClient"],
) -> None:
    """Put an event on a bus, by its ARN. `client` returns the client of a Region.

    Raises:
        MessagingDenied: The bus does not exist, or its policy does not allow the event.
        MessagingUnavailable: EventBridge failed three times.
    """
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            events = client(bus.split(":")[3])
            put_event(bus=bus, source=source, detail_type=detail_type, detail=detail, events=events)
            break
        except MessagingUnavailable as error:
            if error.permanent or attempt == _ATTEMPTS:
                raise
            time.sleep(attempt)


def _upload(event: Mapping[str, Any], outbox_prefix: str) -> dict[str, str]:
    if not is_upload(event):
        return {}
    uploaded = event["detail"]["object"]
    return {"outbox_key": uploaded["key"].removeprefix(outbox_prefix), "version_id": uploaded["version-id"]}
