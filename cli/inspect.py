"""`coatcheck inspect`: the dead letters of a deployment, each with its reason in words and its remedy."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime
from typing import Any, NamedTuple

import typer
from botocore.exceptions import BotoCoreError, ClientError
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from claim_check import ClaimCheckError, Dereferencer, upload_id
from cli.profiles import ProfileClients, find_callers
from cli.redrive import Origin
from cli.redrive.dead_letter import FAILED_TASK, PERMANENT, REPAIRABLE, DeadLetter, age
from cli.redrive.sources import BATCH, DeadLetterQueue, QueueReader, dead_letter_queues
from shared.message_text import printable
from stacks.deployment import Deployment, Names
from stacks.deployment.names import OUTBOX

RUNBOOK = "docs/runbook.md"
SECTIONS: Mapping[str, tuple[str, str]] = {
    "publisher": ("The publish function could not publish them.", "publishdeadlettersnotempty"),
    "dead-letters": ("The function or task of {} could not process them.", "deadlettersnotempty"),
    "undelivered": ("SNS could not deliver them to {}.", "undeliverednotempty"),
    "pipeline": ("They started no pipeline of {}.", "pipelinetriggerdeadlettersnotempty"),
}
"""The fate of the messages of a queue, and the section of the runbook."""
REASONS, FAILED_TASKS = "reasons-and-remedies", "failed-tasks"
_NOUNS = {"reason": "reason", "message": "message_id", "sender": "sender", "upload": "upload", "to do": "remedy"}
_PARALLEL = 8
_CHARACTERS = 600
"""Of a text that a sender can have written."""


class Contents(NamedTuple):
    """The message in a dead letter, as far as it can be read. Its sender can have written every field."""

    message_id: str | None = None
    sender: str | None = None
    upload: str | None = None


def contents(letter: DeadLetter, dereferencer: Dereferencer, origin: Origin) -> Contents:
    """Return the message in a dead letter of any form. Calls no service.

    origin: the queue's. Only an event of a pipeline's queue is the subscriber's own: the detail of an event of the
        publisher's bus can claim another sender.
    """
    match letter.event:
        case {"source": "aws.s3", "detail": {"object": {"key": str(key), "version-id": str(version)}, **detail}}:
            return Contents(upload_id(key, version), f"account {detail.get('requester')}", key.removeprefix(OUTBOX))
        case {"detail": {"message_id": str(message_id), "summary": {"attributes": dict(attributes)}}} if (
            origin == "pipeline"
        ):
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

    Accounts without a profile are named in one line, and are no failure.

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
    if not callers:
        print("There are no credentials for any account of the deployment. Give --profile NAME.", file=sys.stderr)
    inspector = _Inspector(deployment, ProfileClients(callers))
    if delete:
        try:
            return inspector.delete(queues, delete, confirm=confirm)
        except (BotoCoreError, ClientError) as error:
            print(f"Nothing was deleted: {error}", file=sys.stderr)
            return 1
    with ThreadPoolExecutor(_PARALLEL) as pool:  # each waits a second for further messages
        found = list(pool.map(lambda queue: inspector.read(queue, limit), queues))
    if as_json:
        print(json.dumps(found, indent=2, ensure_ascii=False))
    else:
        _show([each for each in found if each["account"] in callers])
        if left_out := sorted({each["account"] for each in found} - {*callers}):
            noun = "account" if len(left_out) == 1 else "accounts"
            print(f"{len(left_out)} other {noun} not read: {', '.join(left_out)}. Give --profile ACCOUNT=NAME.")
        if any(queue["dead_letters"] for queue in found):
            print("Delete one with its id: coatcheck inspect --delete ID")
    failed = any(each["problem"] for each in found if each["account"] in callers)
    return int(bool(problems) or not callers or failed)


class _Inspector:
    """Reads queues. A queue and a dead letter are dictionaries, as in the command's JSON."""

    def __init__(self, deployment: Deployment, clients: ProfileClients) -> None:
        self._clients = clients
        self._runbook = deployment.operations.runbook or RUNBOOK
        self._dereferencer = Dereferencer(stores=[Names(deployment).publisher.store])

    def read(self, queue: DeadLetterQueue, limit: int) -> dict[str, Any]:
        """Return a queue with its first dead letters, which stay there, or with the reason why it was not read."""
        account = queue.resource.account
        if not self._clients.reaches(account):
            return self._queue(queue, problem=f"not read: no credentials of {account}.")
        try:
            with self._reader(queue) as reader:
                letters = reader.receive(limit)
                return self._queue(queue, max(reader.count(), len(letters)), letters)
        except (BotoCoreError, ClientError) as error:
            return self._queue(queue, problem=f"not read: {error}")

    def delete(self, queues: Sequence[DeadLetterQueue], letter_id: str, *, confirm: bool) -> int:
        """Show a dead letter and delete it. Return the exit code."""
        for queue in (each for each in queues if self._clients.reaches(each.resource.account)):
            with self._reader(queue) as reader:
                while letters := reader.receive(BATCH):
                    for letter in (each for each in letters if each.id == letter_id):
                        _show([self._queue(queue, 1, [letter])])
                        if confirm and not typer.confirm("Delete it? Its receiver then never gets the message."):
                            print("Nothing was deleted.")
                            return 1
                        reader.remove(letter)
                        print(f"Deleted from {queue.resource.name}.")
                        return 0
        print(f"{letter_id}: is not in a queue that was read. `coatcheck inspect` prints the ids.", file=sys.stderr)
        return 1

    @contextmanager
    def _reader(self, queue: DeadLetterQueue) -> Iterator[QueueReader[DeadLetter]]:
        reader = queue.reader(
            lambda service, resource: self._clients.client(service, account=resource.account, region=resource.region)
        )
        try:
            yield reader
        finally:
            reader.release()

    def _queue(
        self, queue: DeadLetterQueue, count: int = 0, letters: Sequence[DeadLetter] = (), problem: str | None = None
    ) -> dict[str, Any]:
        text, section = SECTIONS[queue.origin if queue.subscriber else "publisher"]
        return {
            "queue": queue.resource.name,
            "account": queue.resource.account,
            "region": queue.resource.region,
            "problem": problem,
            "messages": count,
            "what": text.format(queue.subscriber),
            "runbook": f"{self._runbook}#{section}",
            "dead_letters": [self._letter(letter, queue, section) for letter in letters],
        }

    def _letter(self, letter: DeadLetter, queue: DeadLetterQueue, section: str) -> dict[str, Any]:
        section = section if queue.origin == "undelivered" else REASONS
        if letter.kept_because:
            remedy = letter.kept_because.removeprefix("not sent: ")
            section = FAILED_TASKS if letter.kept_because == FAILED_TASK else section
        elif letter.kind in PERMANENT:
            remedy = PERMANENT[letter.kind]
        elif queue.redrive:
            remedy = f"{REPAIRABLE.get(letter.kind, 'fix the cause.')} Then run: {queue.redrive}"
        else:
            remedy = f"receive it from the queue with the server of {queue.subscriber}"
        texts = {"reason": letter.reason, **contents(letter, self._dereferencer, queue.origin)._asdict()}
        return {
            "id": letter.id,
            "sent": letter.sent.isoformat(),
            **{name: text and printable(text, _CHARACTERS) for name, text in texts.items()},
            "remedy": f"{remedy[0].upper()}{remedy[1:]}",
            "runbook": f"{self._runbook}#{section}",
        }


def _show(queues: Sequence[Mapping[str, Any]]) -> None:
    console = Console(highlight=False, emoji=False, markup=False)
    for queue in queues:
        letters, count = queue["dead_letters"], queue["messages"]
        shown = "" if len(letters) == count else f", {len(letters)} shown"
        state = queue["problem"] or f"{count} {'message' if count == 1 else 'messages'}{shown}"
        place = f"{queue['queue']} ({queue['region']}, {queue['account']})"
        console.print(f"{place}: {state}", style="bold" if letters else "")
        if letters:
            console.print(f"  {queue['what']}\n  {queue['runbook']}\n", soft_wrap=True)
        for letter in letters:
            grid = Table.grid(padding=(0, 2, 0, 0))
            grid.add_column(no_wrap=True)
            grid.add_column(overflow="fold")
            for noun, name in _NOUNS.items():
                if letter[name]:
                    grid.add_row(noun, Text(letter[name]))
            console.print(f"  {letter['id']}  {age(datetime.fromisoformat(letter['sent']))}", style="bold")
            console.print(Padding(grid, (0, 0, 0, 4), expand=False))
            console.print(f"    {letter['runbook']}\n", soft_wrap=True)
