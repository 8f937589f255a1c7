"""`coatcheck receive`: the messages of a queue that no function polls, each payload into a file."""

from __future__ import annotations

import base64
import hashlib
import json
import sys
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from botocore.exceptions import BotoCoreError, ClientError
from rich.console import Console

from claim_check import ClaimCheckError, Dereferencer, Digest, Message
from cli.profiles import ProfileClients, ProfileError, caller_of
from cli.redrive.sources import HELD_SECONDS, QueueReader
from stacks.deployment import Deployment, Names, SubscriberNames

_LONG_POLL_SECONDS = 20
_SLOWEST_BYTES_PER_SECOND = 10**6
_LONGEST_SECONDS = 43_200
"""SQS hides a message for at most twelve hours."""


class CannotReceive(ValueError):
    """The deployment or the credentials do not allow to receive. The message has the remedy."""


class Conflict(Exception):
    """Another payload has the file's name."""


class Record(NamedTuple):
    """A record of the SQS API."""

    id: str
    receipt: str
    sent: datetime
    record: Mapping[str, Any]

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> Record:
        """Return a received record."""
        sent = datetime.fromtimestamp(int(record["Attributes"]["SentTimestamp"]) / 1000, tz=UTC)
        return cls(record["MessageId"], record["ReceiptHandle"], sent, record)


def receive(
    deployment: Deployment,
    *,
    subscriber: str | None,
    folder: Path,
    keep: bool,
    follow: bool,
    limit: int | None,
    profile: str | None,
    as_json: bool,
) -> int:
    """Write the payloads of a queue into files, delete each message after its file, and return the exit code.

    keep: leave the messages in the queue.
    follow: wait for further messages until an interrupt.
    limit: number of messages to receive.
    """
    try:
        names = polled(deployment, subscriber)
        reader, dereferencer = _open(names, profile, follow=follow)
    except (CannotReceive, ProfileError) as error:
        print(error, file=sys.stderr)
        return 2
    except (BotoCoreError, ClientError) as error:
        print(error, file=sys.stderr)
        return 1
    console, received, failed = Console(stderr=True), 0, 0
    try:
        folder.mkdir(parents=True, exist_ok=True)
        while limit is None or received + failed < limit:
            records = reader.receive(1)
            if not records and not follow:
                break
            for record in records:
                try:
                    message = dereferencer.message(record.record)
                    if (seconds := HELD_SECONDS + message.size // _SLOWEST_BYTES_PER_SECOND) > 2 * HELD_SECONDS:
                        reader.hide(record, min(seconds, _LONGEST_SECONDS))
                    with console.status(f"receiving {message.id}, {message.size:,} bytes"):
                        path, digest = write(message, folder)
                except (ClaimCheckError, Conflict) as error:
                    failed += 1
                    print(f"{record.id}: {error}. The message stays in the queue.", file=sys.stderr)
                    if follow:
                        reader.forget(record)  # it is received again when it is no longer hidden
                    continue
                _show(path, message, digest, as_json=as_json)
                received += 1
                if not keep:
                    reader.remove(record)
    except KeyboardInterrupt:
        return 130 if not follow else int(failed > 0)
    except (BotoCoreError, ClientError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    finally:
        with suppress(BotoCoreError, ClientError):  # SQS shows them again after HELD_SECONDS
            reader.release()
    if not received + failed:
        print(f"{names.queue.name} ({names.queue.region}, {names.queue.account}) has no messages.", file=sys.stderr)
    return int(failed > 0)


def polled(deployment: Deployment, subscriber: str | None) -> SubscriberNames:
    """Return the subscriber whose own service polls its queue. Without a name, the only one.

    Raises:
        CannotReceive: there is none of this name, or not one.
    """
    found = [each.name for each in deployment.subscribers if each.kind == "sqs" and each.is_polled]
    names = Names(deployment).subscribers
    if subscriber in found or (not subscriber and len(found) == 1):
        return names[subscriber or found[0]]
    known = f"Queues to receive from: {', '.join(found) or 'none'}."
    if not subscriber:
        rule = (
            'Only a subscriber with kind = "sqs" and application = "queue" has one'
            if not found
            else "Give --subscriber"
        )
        raise CannotReceive(f"{known} {rule}.")
    problem = "has no queue, or its consume function polls it" if subscriber in names else "is no subscriber"
    raise CannotReceive(f"--subscriber {subscriber}: {problem}. {known}")


def _open(names: SubscriberNames, profile: str | None, *, follow: bool) -> tuple[QueueReader[Record], Dereferencer]:
    place = {"region": names.place.region, "role": names.reader_role.name}
    caller = caller_of(profile, region=names.place.region)
    if caller.account != names.place.account:
        raise CannotReceive(
            f"{names.queue.name} is in account {names.place.account}, but {caller.name}: account {caller.account}. "
            "Give another --profile."
        )
    clients = ProfileClients({caller.account: caller})
    try:
        session = clients.session(account=caller.account, **place)
    except ClientError as error:
        role = names.reader_role.name
        raise CannotReceive(
            f"{error}\n{caller.name}: must be allowed to assume the role {role}, which reads."
        ) from None
    reader = QueueReader(
        names.queue,
        Record.of,
        lambda service, _: clients.client(service, account=caller.account, **place),
        wait_seconds=_LONG_POLL_SECONDS if follow else None,
    )
    return reader, Dereferencer(stores=names.trusted_stores, s3=session)


def write(message: Message, folder: Path) -> tuple[Path, Digest]:
    """Write the payload into the folder, into a file named after the message's id. Return the file and the digest.

    A file with the same content, from an earlier delivery of the message, stays.

    Raises:
        Conflict: a file with this name has other content.
        ClaimCheckError: the payload cannot be read, or is not the one that was published.
    """
    # An id can begin with "." or "-".
    path = folder / (message.id if message.id[0].isalnum() else f"_{message.id}")
    if not path.exists():
        return path, message.payload.download_to(path)
    digest = message.payload.verify_by_reading()
    with path.open("rb") as file:
        if hashlib.file_digest(file, "sha256").hexdigest() != digest.sha256:
            raise Conflict(f"{path} exists with other content: move it away, or give another folder")
    return path, digest


def _show(path: Path, message: Message, digest: Digest, *, as_json: bool) -> None:
    if as_json:
        attributes = {
            name: each.value if isinstance(each.value, str) else base64.b64encode(each.value).decode()
            for name, each in message.attributes.items()
        }
        entry = {"file": str(path), "message_id": message.id, "bytes": digest.size, "sha256": digest.sha256}
        proved = {"declared_sha256": message.sha256, "attributes": attributes}
        print(json.dumps(entry | proved), flush=True)
        return
    print(f"{path}: {digest.size:,} bytes")
    print(f"  sha256  {digest.sha256}")
    print(
        f"          {'as the message declares' if message.sha256 else 'not compared: the message declares none'}",
        flush=True,
    )
