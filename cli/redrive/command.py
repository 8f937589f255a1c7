"""The redrive of dead letters: a table, a question, then one message after the other."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial

import typer
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from rich.table import Table
from rich.text import Text

from cli.page import output_console
from cli.profiles import ProfileError, caller_of
from cli.redrive import Origin
from cli.redrive.dead_letter import PERMANENT, DeadLetter, age
from cli.redrive.sources import BATCH, HELD_SECONDS, DeadLetterSource, NoSuchSource, find_source
from cli.redrive.targets import Client
from stacks.deployment import Deployment, Resource

NOT_SELECTED = "not sent: not selected by --reason"
BLOCKED = "not sent: an earlier message of its group is not sent"


class WrongAccount(Exception):
    """The credentials belong to another account than the queue. Nothing was read."""


def redrive(
    deployment: Deployment,
    *,
    subscriber: str | None,
    origin: Origin,
    reason: str | None,
    limit: int | None,
    dry_run: bool,
    confirm: bool,
    profile: str | None,
) -> int:
    """Redrive the dead letters of a subscriber, or without one those of the publish function. Return the exit code.

    `reason` selects messages, also of a permanent error. `limit` is the number of messages to read.
    """
    try:
        source = find_source(deployment, subscriber=subscriber, origin=origin)
        redrive = _Redrive(source, _client_factory(profile, source.resource), reason=reason, limit=limit)
        return redrive.run(dry_run=dry_run, confirm=confirm)
    except (NoSuchSource, ProfileError) as error:
        print(error, file=sys.stderr)
        return 2
    except (WrongAccount, BotoCoreError, ClientError) as error:
        print(error, file=sys.stderr)
        return 1


def _client_factory(profile: str | None, source: Resource) -> Client:
    """Return a factory of the caller's clients.

    Raises:
        ProfileError: the profile has no valid credentials.
        WrongAccount: the credentials belong to another account than the source.
    """
    caller = caller_of(profile, region=source.region)
    if caller.account != source.account:
        raise WrongAccount(
            f"{source.name} is in account {source.account}, but the credentials are of account {caller.account}. "
            "Use credentials of that account, or name a profile with --profile."
        )
    # A redrive sends many small requests, which services throttle.
    config = Config(retries={"mode": "standard", "max_attempts": 10})
    return lambda service, resource: caller.session.client(service, region_name=resource.region, config=config)


class _Redrive:
    def __init__(self, source: DeadLetterSource, client: Client, *, reason: str | None, limit: int | None) -> None:
        self._resource, self._noun = source.resource, source.noun
        self._reader, self._target = source.reader(client), source.target(client)
        self._reason, self._limit = reason, limit
        self._console = output_console()
        self._say = partial(self._console.print, markup=False, soft_wrap=True)
        self._kept: list[DeadLetter] = []
        self._received = self._sent = 0

    def run(self, *, dry_run: bool, confirm: bool) -> int:
        count = self._reader.count()
        try:
            messages = self._receive()
            self._show(messages, count)
            if dry_run:
                return 0
            more = " or more" if len(messages) + len(self._kept) < count else ""
            question = f"Send {len(messages)}{more} {self._nouns(len(messages))} to {self._target.name}?"
            if messages and confirm and not typer.confirm(question):
                self._say("Nothing was sent.")
                return 1
            with self._console.status("sending") as status:
                while messages:
                    for message in messages:
                        self._target.send(message)
                        self._reader.remove(message)
                        self._sent += 1
                        status.update(f"{self._sent} sent")
                    messages = self._receive()
        finally:
            if self._sent:
                self._say(f"{self._sent} sent to {self._target.name}.")
            self._reader.release()
        if count and not (self._sent or self._kept):
            return 1
        if self._kept:
            ids = ", ".join(message.id for message in self._kept[:10])
            self._say(f"{len(self._kept)} not sent, in {self._resource.name}: {ids}")
        return 0

    def _receive(self) -> list[DeadLetter]:
        """Return the next messages to send. Messages before them that are not sent are added to the kept ones."""
        while messages := self._reader.receive(self._batch()):
            self._received += len(messages)
            selected: list[DeadLetter] = []
            for message in messages:
                if reason := self._kept_because(message):
                    self._kept.append(replace(message, kept_because=reason))
                else:
                    selected.append(message)
            if selected:
                return selected
        return []

    def _kept_because(self, message: DeadLetter) -> str | None:
        if message.kept_because:
            return message.kept_because
        if message.kind != self._reason and message.kind in PERMANENT:
            advice = PERMANENT[message.kind].rstrip(".")
            return f"not sent: {advice[0].lower()}{advice[1:]}"
        if self._reason and message.kind != self._reason:
            return NOT_SELECTED
        # A message must not overtake an earlier one of its message group.
        return BLOCKED if message.group and message.group in {kept.group for kept in self._kept} else None

    def _batch(self) -> int:
        return BATCH if self._limit is None else min(BATCH, self._limit - self._received)

    def _nouns(self, number: int) -> str:
        return self._noun + "s" * (number != 1)

    def _show(self, messages: Sequence[DeadLetter], count: int) -> None:
        place = f"{self._resource.name} ({self._resource.region}, {self._resource.account})"
        seen = len(messages) + len(self._kept)
        if not seen and count:
            self._say(
                f"{place}: about {count} {self._nouns(count)}, and none can be read now. Another command has them, or "
                f"one that was killed, for up to {HELD_SECONDS // 60} minutes; or the count is a minute old."
            )
            return
        if not seen:
            self._say(f"{place} has no {self._nouns(0)}.")
            return
        about = f" of about {count}" if seen < count else ""
        self._say(f"{place}: {seen} {self._nouns(seen)}{about}\n")
        sent = [(self._target.name, message) for message in messages]
        self._console.print(_table([*sent, *((str(message.kept_because), message) for message in self._kept)]), "")
        if any(message.kind in PERMANENT for message in self._kept):
            self._say(
                "Messages with a permanent error are not sent. "
                "After fixing the cause, select them with --reason NAME.\n"
            )


def _table(messages: Sequence[tuple[str, DeadLetter]]) -> Table:
    """Return a table of messages, each with its target: their number and age by target and reason."""
    table = Table(box=None, padding=(0, 0, 0, 2), header_style="")
    for column in ("messages", "reason", "oldest", "target"):
        table.add_column(column, overflow="fold")
    by_target: dict[str, dict[str, list[datetime]]] = {}
    for target, message in messages:
        by_target.setdefault(target, {}).setdefault(message.kind, []).append(message.sent)
    for target, by_kind in by_target.items():
        for kind, sent in sorted(by_kind.items(), key=lambda item: -len(item[1])):
            table.add_row(*map(Text, (str(len(sent)), kind, age(min(sent)), target)))
    return table
