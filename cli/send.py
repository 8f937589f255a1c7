"""`coatcheck send`: files as messages, with the role of the publisher or of a sender."""

from __future__ import annotations

import hashlib
import json
import shlex
import sys
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, cast

from botocore.exceptions import BotoCoreError, ClientError
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn
from rich.table import Column

import claim_check
from claim_check import ClaimCheckError, PayloadTooLarge, Publisher, UploadedObject
from cli.cost import Route
from cli.profiles import Caller, ProfileClients, ProfileError, caller_of
from cli.upload import upload
from publish.metadata import attributes_of
from publish.upload import require_safe_name
from shared.message_text import printable
from stacks.deployment import Deployment, Names, PublisherNames, SenderNames
from stacks.deployment.names import OUTBOX

STDIN = "-"
_NAME_CHARACTERS = 200
_ACCEPTED: Mapping[Route, frozenset[str]] = {
    "library": frozenset({"id", "attribute", "group"}),
    "outbox": frozenset({"attribute"}),
    "bus": frozenset({"source", "detail_type"}),
}
"""The options of each route."""

_FAILURES = (ClaimCheckError, BotoCoreError, ClientError, OSError, ValueError, RecursionError)

Progressed = Callable[[int], object]
"""Called with the bytes that were sent so far."""


class CannotSend(ValueError):
    """The options and the credentials do not allow to send. The message has the remedy."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """The options of a run, named as on the command line."""

    route: Route | None = None
    sender: str | None = None
    id: str | None = None
    attribute: Mapping[str, str] = field(default_factory=dict)
    group: str | None = None
    source: str | None = None
    detail_type: str | None = None


class Sent(NamedTuple):
    """A message that was sent, with the size and the SHA-256 (hex) of its payload. `key` is an upload's."""

    message_id: str
    bytes: int
    sha256: str | None
    key: str | None = None


Send = Callable[[str, str, Progressed], Sent]
"""Sends a file, under an id if it is sent by the library."""


class EntryPoint(NamedTuple):
    """An entry point: the deployment, the role that sends, the prefix of its uploads, and the options."""

    deployment: Deployment
    names: PublisherNames
    clients: ProfileClients
    role: Mapping[str, str]
    folder: str
    options: Options


def send(deployment: Deployment, files: Sequence[str], options: Options, *, profile: str | None, as_json: bool) -> int:
    """Send files in their order until one fails, and return the exit code. `-` is the standard input."""
    run = options.id or str(uuid.uuid4())
    ids = [run] if len(files) == 1 else [f"{run}-{number}" for number in range(1, len(files) + 1)]
    left = list(files)
    route: Route | None = None
    try:
        route, entry = _entry(deployment, options, profile)
        send_one = _SENDERS[route](entry)
        for file, message_id in zip(files, ids, strict=True):
            with _progress(file) as progressed:
                sent = send_one(file, message_id, progressed)
            del left[0]
            _show(file, route, sent, as_json=as_json)
    except (CannotSend, ProfileError) as error:
        print(error, file=sys.stderr)
        return 2
    except (*_FAILURES, KeyboardInterrupt) as error:
        is_interrupt = isinstance(error, KeyboardInterrupt)
        print("Interrupted." if is_interrupt else f"{left[0] if left else 'output'}: {error}", file=sys.stderr)
        print(f"Not sent: {shlex.join(left) or 'nothing'}", file=sys.stderr)
        if left and route == "library":
            # The ids of several files have their places in the command.
            print(f"To resume, repeat the whole command, with all files and --id {run}.", file=sys.stderr)
            print("Payloads that are stored are not sent again.", file=sys.stderr)
        return 130 if is_interrupt else 1
    return 0


def _entry(deployment: Deployment, options: Options, profile: str | None) -> tuple[Route, EntryPoint]:
    """Return the route and the entry point for the credentials.

    Raises:
        CannotSend: the options do not suit the credentials, or each other.
        ProfileError: the profile has no valid credentials.
    """
    names = Names(deployment)
    caller = caller_of(profile, region=deployment.publisher.region)
    sender = _sender(names, caller, options.sender)
    route: Route = options.route or ("outbox" if sender else "library")
    if sender and route == "library":
        raise CannotSend("--route library: is for the publisher's account. Use --route outbox or bus.")
    if not sender and route == "bus":
        raise CannotSend("--route bus: is for a sender's account. Give a --profile or --sender.")
    given = {name for name in _ACCEPTED["library"] | _ACCEPTED["bus"] if getattr(options, name)}
    if refused := sorted(given - _ACCEPTED[route]):
        accepted = ", ".join(map(_flag, sorted(_ACCEPTED[route])))
        raise CannotSend(f"{_flag(refused[0])}: --route {route} accepts {accepted}.")
    if route == "bus" and len(given) < len(_ACCEPTED["bus"]):
        raise CannotSend("--route bus: give --source and --detail-type.")
    if route == "library" and deployment.publisher.fifo and not options.group:
        raise CannotSend("--group: is missing. publisher.fifo = true needs the message group.")
    if route == "outbox" and deployment.publisher.offload == "never":
        raise CannotSend('--route outbox: publisher.offload = "never" refuses uploads. Use another route.')
    if route == "outbox":
        _require_attributes(options.attribute, chosen=deployment.publisher.outbox.attributes)
    clients, name = ProfileClients({caller.account: caller}), (sender.role if sender else names.publisher.role).name
    role = {"account": caller.account, "region": deployment.publisher.region, "role": name}
    try:
        clients.session(**role)
    except ClientError as error:
        raise CannotSend(f"{error}\n{caller.name}: must be allowed to assume the role {name}, which sends.") from None
    return route, EntryPoint(
        deployment,
        names.publisher,
        clients,
        role,
        sender.outbox if sender else f"{OUTBOX}publisher/",  # no sender can have this name
        options,
    )


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _require_attributes(given: Mapping[str, str], *, chosen: Sequence[str]) -> None:
    """Raise CannotSend if the publish function would not make each of them an attribute: filters would not match."""
    for name in given:
        if name != name.lower():
            raise CannotSend(f"--attribute {name}: S3 stores names in lower case. Write {name.lower()}.")
    if others := sorted(given.keys() - attributes_of(UploadedObject(given), chosen=chosen).keys()):
        raise CannotSend(
            f"--attribute {', '.join(others)}: would be in the attribute `metadata` of an upload's message. Give up to "
            "four, no reserved name, and those of publisher.outbox.attributes if it is set."
        )


def _sender(names: Names, caller: Caller, wanted: str | None) -> SenderNames | None:
    """Return the sender of the caller's account, or None for the publisher's account."""
    own = {name: sender for name, sender in names.senders.items() if sender.place.account == caller.account}
    if wanted in own:
        return own[wanted]
    if wanted:
        raise CannotSend(f"--sender {wanted}: is no sender in account {caller.account}, of {caller.name}.")
    if caller.account == names.publisher.place.account:
        return None
    if len(own) == 1:
        return next(iter(own.values()))
    if own:
        raise CannotSend(f"account {caller.account} has several senders. Give --sender: {', '.join(own)}.")
    accounts = [names.publisher.place.account, *(sender.place.account for sender in names.senders.values())]
    raise CannotSend(
        f"{caller.name}: account {caller.account} does not send in this deployment. "
        f"Give a --profile of {' or '.join(dict.fromkeys(accounts))}."
    )


def _library(entry: EntryPoint) -> Send:
    names, settings, options = entry.names, entry.deployment.publisher, entry.options
    publisher = Publisher(
        topic_arn=names.topic.arn,
        store=names.store,
        threshold=settings.maximum_message_bytes,
        offload=settings.offload,
        sns=entry.clients.client("sns", **entry.role),
        s3=entry.clients.session(**entry.role),
    )

    def send_one(file: str, message_id: str, progressed: Progressed) -> Sent:
        name = {} if file == STDIN else {"file": printable(Path(file).name, _NAME_CHARACTERS)}
        published = publisher.publish(
            sys.stdin.buffer if file == STDIN else Path(file),
            message_id=message_id,
            attributes={**name, **options.attribute},
            group_id=options.group,
            progress=progressed,
        )
        return Sent(published.message_id, published.size, published.sha256)

    return send_one


def _outbox(entry: EntryPoint) -> Send:
    names, maximum = entry.names, entry.deployment.publisher.outbox.maximum_bytes
    s3: Any = entry.clients.client("s3", **entry.role)

    def send_one(file: str, message_id: str, progressed: Progressed) -> Sent:
        # An upload that the publish function would refuse is not sent.
        size = 0 if file == STDIN else Path(file).stat().st_size
        if size > maximum:
            raise PayloadTooLarge(f"it has {size} bytes, and publisher.outbox.maximum_bytes is {maximum}")
        key = f"{entry.folder}{message_id if file == STDIN else Path(file).name}"
        require_safe_name(key.removeprefix(OUTBOX))
        with _opened(file) as opened:
            source = _Source(opened, maximum)
            uploaded = upload(
                s3,
                cast("BinaryIO", source),
                publisher=names,
                key=key,
                size=size,
                metadata=entry.options.attribute,
                progressed=lambda count: progressed(source.advance(count)),
            )
        return Sent(uploaded, source.bytes, source.sha256, key)

    return send_one


def _bus(entry: EntryPoint) -> Send:
    publisher, options = entry.names, entry.options
    events, s3 = entry.clients.client("events", **entry.role), entry.clients.session(**entry.role)

    def send_one(file: str, _: str, progressed: Progressed) -> Sent:
        with _opened(file) as opened:
            detail = json.load(opened)
        sent = claim_check.send(
            bus=publisher.event_bus.arn,
            outbox=f"s3://{publisher.payload_bucket.bucket.name}/{entry.folder}",
            source=str(options.source),
            detail_type=str(options.detail_type),
            detail=detail,
            events=events,
            s3=s3,
        )
        # The payload, as the library and the publish function write it.
        payload = json.dumps(detail, separators=(",", ":"), ensure_ascii=False).encode()
        progressed(len(payload))
        return Sent(sent.message_id, len(payload), hashlib.sha256(payload).hexdigest(), sent.key)

    return send_one


_SENDERS: Mapping[Route, Callable[[EntryPoint], Send]] = {
    "library": _library,
    "outbox": _outbox,
    "bus": _bus,
}


class _Source:
    """A file that is read once, in order, with its size and digest. It has no `seek`: nothing is read twice.

    A file that has more bytes than `maximum`, or gets them while it is read, raises PayloadTooLarge.
    """

    def __init__(self, file: BinaryIO, maximum: int) -> None:
        self._file, self._maximum, self._digest = file, maximum, hashlib.sha256()
        self.bytes = self._sent = 0

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(size)
        self._digest.update(data)
        self.bytes += len(data)
        if self.bytes > self._maximum:
            raise PayloadTooLarge(
                f"it has over {self._maximum} bytes, and publisher.outbox.maximum_bytes is {self._maximum}"
            )
        return data

    def advance(self, count: int) -> int:
        """Return the bytes that were sent, with `count` more."""
        self._sent += count
        return self._sent

    @property
    def sha256(self) -> str:
        return self._digest.hexdigest()


def _opened(file: str) -> AbstractContextManager[BinaryIO]:
    return nullcontext(sys.stdin.buffer) if file == STDIN else Path(file).open("rb")


@contextmanager
def _progress(file: str) -> Iterator[Progressed]:
    """Show a bar on the terminal of the standard error, if it is one."""
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}", markup=False, table_column=Column(ratio=1, no_wrap=True, overflow="ellipsis")),
        BarColumn(20),
        DownloadColumn(binary_units=True),
        TransferSpeedColumn(),
    )
    with Progress(*columns, console=console, transient=True, expand=True, disable=not console.is_terminal) as progress:
        total = None if file == STDIN else Path(file).stat().st_size
        task = progress.add_task(printable(file, _NAME_CHARACTERS), total=total)
        yield lambda count: progress.update(task, completed=count)


def _show(file: str, route: Route, sent: Sent, *, as_json: bool) -> None:
    if as_json:
        print(json.dumps({"file": file, "route": route, **sent._asdict()}), flush=True)
        return
    name = "standard input" if file == STDIN else printable(file, _NAME_CHARACTERS)
    print(f"{name}: sent {sent.bytes:,} bytes by {route}")
    print(f"  id      {sent.message_id}")
    print(f"  sha256  {sent.sha256}", flush=True)
