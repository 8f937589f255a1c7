"""`coatcheck inspect`: the dead letters of a deployment, each with its reason in words and what to do."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import typer
from botocore.exceptions import BotoCoreError, ClientError
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from claim_check import ClaimCheckError, Dereferencer, upload_id
from cli.profiles import ProfileClients, find_callers
from cli.redrive.dead_letter import FAILED_TASK, PERMANENT, REPAIRABLE, DeadLetter, age, printable
from cli.redrive.sources import BATCH, DeadLetterQueue, QueueReader, dead_letter_queues
from stacks.deployment import Deployment, Names
from stacks.deployment.names import OUTBOX

RUNBOOK = "docs/runbook.md"
SECTIONS: Mapping[str, tuple[str, str]] = {
    "publisher": ("The publish function could not publish them.", "publishdeadlettersnotempty"),
    "dead-letters": ("The function or task of {} could not process them.", "deadlettersnotempty"),
    "undelivered": ("SNS could not deliver them to {}.", "undeliverednotempty"),
    "pipeline": ("They started no pipeline of {}.", "pipelinetriggerdeadlettersnotempty"),
}
"""What happened to the messages of a queue, and the section of the runbook."""
REASONS, FAILED_TASKS = "reasons-and-remedies", "failed-tasks"
_REASON_CHARACTERS, _NAME_CHARACTERS = 600, 200


class Contents(NamedTuple):
    """The message in a dead letter, as far as it can be read. Its sender can have written every field."""

    message_id: str | None = None
    sender: str | None = None
    upload: str | None = None


class Entry(NamedTuple):
    """A dead letter, the message in it, the remedy, and the section of the runbook."""

    letter: DeadLetter
    contents: Contents
    remedy: str
    section: str


class Inspection(NamedTuple):
    """A queue, its approximate number of messages, and the first of them; or why it was not read."""

    queue: DeadLetterQueue
    count: int = 0
    entries: Sequence[Entry] = ()
    problem: str | None = None


def contents(letter: DeadLetter, dereferencer: Dereferencer) -> Contents:
    """Return the message in a dead letter of any form. Calls no service."""
    match letter.event:
        case {"source": "aws.s3", "detail": {"object": {"key": str(key), "version-id": str(version)}, **detail}}:
            return Contents(upload_id(key, version), f"account {detail.get('requester')}", key.removeprefix(OUTBOX))
        case {"detail": {"message_id": str(message_id), "summary": {"attributes": {**attributes}}}}:
            return _sent(message_id, attributes)
        case {"id": str(event_id), "source": str(source), "account": str(account)}:
            return _sent(event_id, {"source": source, "account": account})
        case {"Records": [record]}:
            return _message(record, dereferencer)
    if letter.kept_because == FAILED_TASK:
        return Contents(_task_message_id(letter.body))
    record = {"MessageId": letter.id, "Body": letter.body, "MessageAttributes": letter.attributes}
    return _message(record, dereferencer)


def _task_message_id(body: str) -> str | None:
    """Return the message id in the environment of a failed task, as EventBridge describes it."""
    try:
        containers = json.loads(body)["overrides"]["containerOverrides"]
        variables = {each["name"]: each["value"] for container in containers for each in container["environment"]}
        return str(variables["MESSAGE_ID"])
    except (ValueError, LookupError, TypeError):
        return None


def _message(record: Any, dereferencer: Dereferencer) -> Contents:
    try:
        message = dereferencer.message(record)
    except ClaimCheckError as error:
        return Contents(error.message_id)
    return _sent(message.id, {name: attribute.value for name, attribute in message.attributes.items()})


def _sent(message_id: str, attributes: Mapping[str, object]) -> Contents:
    source, account = attributes.get("sender") or attributes.get("source"), attributes.get("account")
    sender = [str(source)] * bool(source) + [f"account {account}"] * bool(account)
    upload = attributes.get("outbox-key")
    return Contents(message_id, ", ".join(sender) or None, str(upload) if upload else None)


def entry(letter: DeadLetter, queue: DeadLetterQueue, dereferencer: Dereferencer) -> Entry:
    """Return a dead letter with the remedy for its reason."""
    section = SECTIONS["undelivered"][1] if queue.origin == "undelivered" else REASONS
    if letter.kept_because:
        remedy = letter.kept_because.removeprefix("not sent: ")
        section = FAILED_TASKS if letter.kept_because == FAILED_TASK else section
    elif letter.kind in PERMANENT:
        remedy = PERMANENT[letter.kind]
    elif queue.redrive:
        remedy = f"{REPAIRABLE.get(letter.kind, 'fix the cause.')} Then run: {queue.redrive}"
    else:
        remedy = f"let the server of {queue.subscriber} receive it from the queue"
    found = (text and printable(text, _NAME_CHARACTERS) for text in contents(letter, dereferencer))
    return Entry(letter, Contents(*found), f"{remedy[0].upper()}{remedy[1:]}", section)


def inspect(
    deployment: Deployment,
    *,
    profiles: Sequence[str],
    region: str | None,
    limit: int,
    delete: str | None,
    confirm: bool,
    as_json: bool,
) -> int:
    """Print the dead letters of the queues that the profiles reach, or delete one of them. Return the exit code.

    region: read only the queues of this Region.
    limit: dead letters to print for each queue.
    delete: SQS's id of the dead letter to delete, as it is printed.
    """
    queues = [each for each in dead_letter_queues(deployment) if region in (None, each.resource.region)]
    if not queues:
        print(f"--region {region}: the deployment has no dead-letter queue in this Region.", file=sys.stderr)
        return 2
    callers, problems = find_callers(profiles, {each.resource.account: each.resource.region for each in queues})
    for text in problems:
        print(text, file=sys.stderr)
    link = f"{deployment.operations.runbook or RUNBOOK}#".__add__
    inspector = _Inspector(ProfileClients(callers), Dereferencer(stores=[Names(deployment).publisher.store]))
    if delete:
        return _delete(inspector, queues, delete, link, confirm=confirm)
    found = [inspector.read(queue, limit) for queue in queues]
    if as_json:
        print(json.dumps([_as_dict(each, link) for each in found], indent=2, ensure_ascii=False))
    else:
        _show(found, link)
        if any(each.entries for each in found):
            print("Delete one with its id: coatcheck inspect --delete ID")
    return int(bool(problems) or any(each.problem for each in found))


class _Inspector:
    def __init__(self, clients: ProfileClients, dereferencer: Dereferencer) -> None:
        self._clients, self._dereferencer = clients, dereferencer

    def read(self, queue: DeadLetterQueue, limit: int) -> Inspection:
        """Return the first dead letters of a queue. They stay there."""
        account = queue.resource.account
        if not self._clients.reaches(account):
            return Inspection(queue, problem=f"not read: no credentials of {account}. Give --profile {account}=NAME.")
        try:
            with self._reader(queue) as reader:
                found = [entry(letter, queue, self._dereferencer) for letter in reader.receive(limit)]
                return Inspection(queue, max(reader.count(), len(found)), found)
        except (BotoCoreError, ClientError) as error:
            return Inspection(queue, problem=f"not read: {error}")

    def remove(self, queue: DeadLetterQueue, letter_id: str, confirmed: Callable[[Inspection], bool]) -> bool | None:
        """Delete a dead letter if it is confirmed. Return whether it was deleted, or None if it is not in the queue."""
        if not self._clients.reaches(queue.resource.account):
            return None
        with self._reader(queue) as reader:
            while letters := reader.receive(BATCH):
                for letter in letters:
                    if letter.id == letter_id:
                        if deleted := confirmed(Inspection(queue, 1, [entry(letter, queue, self._dereferencer)])):
                            reader.remove(letter)
                        return deleted
        return None

    @contextmanager
    def _reader(self, queue: DeadLetterQueue) -> Iterator[QueueReader[DeadLetter]]:
        reader = queue.reader(
            lambda service, resource: self._clients.client(service, account=resource.account, region=resource.region)
        )
        try:
            yield reader
        finally:
            reader.release()


def _delete(
    inspector: _Inspector,
    queues: Sequence[DeadLetterQueue],
    letter_id: str,
    link: Callable[[str], str],
    *,
    confirm: bool,
) -> int:
    def confirmed(found: Inspection) -> bool:
        _show([found], link)
        return not confirm or typer.confirm("Delete it? Its receiver then never gets the message.")

    for queue in queues:
        deleted = inspector.remove(queue, letter_id, confirmed)
        if deleted is not None:
            print(f"Deleted from {queue.resource.name}." if deleted else "Nothing was deleted.")
            return int(not deleted)
    print(f"{letter_id}: is not in a queue that was read. `coatcheck inspect` prints the ids.", file=sys.stderr)
    return 1


def _as_dict(found: Inspection, link: Callable[[str], str]) -> dict[str, Any]:
    queue = found.queue
    return {
        "queue": queue.resource.name,
        "account": queue.resource.account,
        "region": queue.resource.region,
        "subscriber": queue.subscriber,
        "origin": queue.origin,
        "messages": found.count,
        "problem": found.problem,
        "dead_letters": [
            {
                "id": letter.id,
                "sent": letter.sent.isoformat(),
                "reason": printable(letter.reason, _REASON_CHARACTERS),
                **each._asdict(),
                "remedy": remedy,
                "runbook": link(section),
            }
            for letter, each, remedy, section in found.entries
        ],
    }


def _show(inspections: Sequence[Inspection], link: Callable[[str], str]) -> None:
    console = Console(highlight=False, emoji=False, markup=False)
    for queue, count, entries, problem in inspections:
        of = "" if len(entries) == count else f", the first {len(entries)} are shown"
        state = problem or f"{count} {'message' if count == 1 else 'messages'}{of}"
        place = f"{queue.resource.name} ({queue.resource.region}, {queue.resource.account})"
        console.print(f"{place}: {state}", style="bold" if entries else "")
        if not entries:
            continue
        text, section = SECTIONS[queue.origin if queue.subscriber else "publisher"]
        console.print(f"  {text.format(queue.subscriber)}\n  {link(section)}", soft_wrap=True)
        for letter, (message_id, sender, upload), remedy, section in entries:
            grid = Table.grid(padding=(0, 2, 0, 0))
            grid.add_column(no_wrap=True)
            grid.add_column(overflow="fold")
            reason = printable(letter.reason, _REASON_CHARACTERS)
            for noun, value in (
                ("reason", reason),
                ("message", message_id),
                ("sender", sender),
                ("upload", upload),
                ("to do", remedy),
            ):
                if value:
                    grid.add_row(noun, Text(value))
            console.print(f"\n  {letter.id}  {age(letter.sent)}", style="bold")
            console.print(Padding(grid, (0, 0, 0, 4), expand=False))
            console.print(f"    {link(section)}", soft_wrap=True)
        console.print()
