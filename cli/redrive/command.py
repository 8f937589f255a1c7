"""Dead letters go back: first a table of what there is, then a question, then one letter after the other."""

import argparse
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from cli.redrive.destination import Destination
from cli.redrive.executions import Executions
from cli.redrive.hopeless import WHAT_TO_DO
from cli.redrive.letter import BEHIND, LEFT, Letter
from cli.redrive.pile import AT_ONCE, Pile
from cli.redrive.source import Client, NoSuchSource, Source, of_executions, of_intake, of_publisher, of_subscriber
from stacks.deployment import Deployment, DeploymentError, load_messaging
from stacks.deployment.cdk_json import deployment_file


class WrongAccount(Exception):
    """The credentials are another account's. Nothing was looked at."""


def add_arguments(command: argparse.ArgumentParser) -> None:
    """What `python -m cli redrive` takes."""
    command.add_argument("--deployment", type=Path, metavar="FILE", help="the one that cdk.json names, unless given")
    whose = command.add_mutually_exclusive_group(required=True)
    whose.add_argument("--subscriber", metavar="NAME", help="letters of this subscriber")
    whose.add_argument("--publisher", action="store_true", help="letters of the publish function")
    command.add_argument(
        "--from",
        dest="queue",
        choices=("dead-letters", "undelivered", "pipeline", "executions"),
        help="what the function could not handle, what SNS could not deliver, what became no data set, or executions "
        "of the state machine that ended badly",
    )
    command.add_argument(
        "--reason",
        metavar="NAME",
        help="only what has this reason, also one that is left else, such as PayloadMissing",
    )
    command.add_argument("--limit", type=_positive, metavar="N", help="look at so many letters at most")
    command.add_argument("--dry-run", action="store_true", help="show what there is, and send nothing")
    command.add_argument("--yes", action="store_true", help="do not ask")
    command.add_argument("--profile", metavar="NAME", help="the AWS profile of the account that has the queue")


def _positive(text: str) -> int:
    if (number := int(text)) < 1:
        raise argparse.ArgumentTypeError(f"{text}: must be 1 or more")
    return number


def redrive(given: argparse.Namespace) -> int:
    """Returns the exit status: 0, or 1 with what to do on stderr."""
    try:
        deployment = load_messaging(deployment_file(given.deployment))
        source = _source(deployment, given)
        client = _signed_in(given.profile, source)
        return _Redriving(source, source.pile(client), source.destination(client), given.reason, given.limit).run(
            dry=given.dry_run, asks=not given.yes
        )
    except (DeploymentError, NoSuchSource, WrongAccount, BotoCoreError, ClientError) as error:
        print(error, file=sys.stderr)
        return 1


def _source(deployment: Deployment, given: argparse.Namespace) -> Source:
    if given.publisher and given.queue:
        raise NoSuchSource(f"--from {given.queue}: is for a subscriber; the publisher has one queue, leave it out")
    if given.publisher:
        return of_publisher(deployment)
    if given.queue == "pipeline":
        return of_intake(deployment, given.subscriber)
    if given.queue == "executions":
        return of_executions(deployment, given.subscriber)
    return of_subscriber(deployment, given.subscriber, undelivered=given.queue == "undelivered")


def _signed_in(profile: str | None, source: Source) -> Client:
    """The caller's own clients.

    Raises:
        WrongAccount: they are not of the account that has the queue.
    """
    session = boto3.Session(profile_name=profile)
    found = session.client("sts", region_name=source.region).get_caller_identity()["Account"]
    if found != source.account:
        raise WrongAccount(
            f"{source.name} is in account {source.account}, and these credentials are of account {found}: "
            "sign in there, or name a profile with --profile"
        )
    # Many small requests, of which services take so many a second.
    patient = Config(retries={"mode": "standard", "max_attempts": 10})
    return lambda service, region: session.client(service, region_name=region, config=patient)  # type: ignore[call-overload]


class _Redriving:
    def __init__(
        self,
        source: Source,
        pile: Pile | Executions,
        destination: Destination,
        reason: str | None,
        limit: int | None,
    ) -> None:
        self._source, self._pile, self._destination = source, pile, destination
        self._reason, self._limit = reason, limit
        self._left: list[Letter] = []
        self._looked_at = self._sent = 0

    def run(self, *, dry: bool, asks: bool) -> int:
        about = self._pile.count()
        try:
            chosen = self._take()
            print(_table(self._source, self._destination, chosen, self._left, about))
            if any(letter.kind in WHAT_TO_DO for letter in self._left):
                print("What is left for its reason fails again as it is; once mended, --reason NAME sends it back.\n")
            if dry:
                return 0
            if (
                chosen
                and asks
                and not _yes(f"Send {len(chosen)}{' or more' * (len(chosen) + len(self._left) < about)} back?")
            ):
                print("Nothing was sent.")
                return 1
            while chosen:
                self._send(chosen)
                chosen = self._take()
        finally:
            if self._sent:
                print(f"{self._sent} sent to {self._destination.name}.")
            self._pile.let_go()
        if self._left:
            print(f"{len(self._left)} left in {self._source.name}: {', '.join(each.id for each in self._left[:10])}")
        return 0

    def _take(self) -> list[Letter]:
        """The next letters to send, as far behind others as they may be; notes those that are left."""
        while taken := self._pile.take(self._most()):
            self._looked_at += len(taken)
            chosen: list[Letter] = []
            for letter in taken:
                if instead := self._instead(letter):
                    self._left.append(replace(letter, instead=instead))
                else:
                    chosen.append(letter)
            if chosen:
                return chosen
        return []

    def _instead(self, letter: Letter) -> str | None:
        """What is done with a letter that is not to be sent back."""
        if letter.instead:
            return letter.instead
        if letter.kind != self._reason and (self._reason or letter.kind in WHAT_TO_DO):
            return WHAT_TO_DO.get(letter.kind, LEFT)
        # Of a message group, what follows one that is left must not overtake it.
        follows = letter.group and letter.group in {each.group for each in self._left}
        return BEHIND if follows else None

    def _most(self) -> int:
        return AT_ONCE if self._limit is None else min(AT_ONCE, self._limit - self._looked_at)

    def _send(self, letters: Sequence[Letter]) -> None:
        with closing(self._pile.send(letters, self._destination)) as sending:  # type: ignore[type-var]
            for _ in sending:
                self._sent += 1
                if self._sent % 100 == 0:
                    print(f"{self._sent} sent")


def _table(
    source: Source, destination: Destination, chosen: Sequence[Letter], left: Sequence[Letter], about: int
) -> str:
    if not chosen and not left:
        return f"{source.name} ({source.region}, {source.account}) has no {source.noun}s."
    seen = len(chosen) + len(left)
    more = f" of about {about}" if seen < about else ""
    rows = [("how many", "why", "oldest", "goes to")]
    by_place: dict[str, list[Letter]] = {destination.name: list(chosen)}
    for letter in left:
        by_place.setdefault(str(letter.instead), []).append(letter)
    for where, letters in by_place.items():
        rows += ((str(count), why, age, where) for why, count, age in _by_reason(letters))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    heading = f"{source.name} ({source.region}, {source.account}): {seen} {source.noun}{'s' * (seen != 1)}{more}"
    return "\n".join([heading, "", *(f"  {line}" for line in lines), ""])


def _by_reason(letters: Iterable[Letter]) -> list[tuple[str, int, str]]:
    counted: Counter[str] = Counter()
    oldest: dict[str, datetime] = {}
    for letter in letters:
        counted[letter.kind] += 1
        oldest[letter.kind] = min(letter.sent, oldest.get(letter.kind, letter.sent))
    return [(why, count, _age(oldest[why])) for why, count in counted.most_common()]


def _age(sent: datetime) -> str:
    age = datetime.now(tz=UTC) - sent
    for unit, name in ((timedelta(days=1), "days"), (timedelta(hours=1), "hours"), (timedelta(minutes=1), "minutes")):
        if age >= 2 * unit:
            return f"{age // unit} {name} ago"
    return "just now"


def _yes(question: str) -> bool:
    try:
        return input(f"{question} [y/N] ").strip().lower() in ("y", "yes")
    except EOFError:  # nobody there to ask
        return False
