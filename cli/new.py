"""The command `coatcheck new`: a new deployment file with comments, from options or from answers."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from stacks.deployment import parse
from stacks.deployment.model import SCHEMA_VERSION
from stacks.deployment.types import as_toml

Ask = Callable[[str], str]

SCHEMA = Path(__file__).parents[1] / "deployments" / "schema.json"
"""For editors. An installation without the checkout's folders has none."""


class InvalidAnswer(ValueError):
    """An option or answer in another form. The message has the form."""


class Party(NamedTuple):
    """A name, an account and a Region. `extra` is the kind of a subscriber, or the URL of an HTTPS endpoint."""

    name: str
    account: str
    region: str
    extra: str = ""


@dataclass
class Answers:
    """The parties of a new deployment file."""

    name: str
    publisher: Party | None = None
    senders: list[Party] = field(default_factory=list)
    subscribers: list[Party] = field(default_factory=list)
    research: Party | None = None


def party(text: str, *, name: str = "", extra: str = "") -> Party:
    """Read `NAME=ACCOUNT:REGION`, or for an HTTPS subscriber `NAME=ACCOUNT:REGION=URL`. With `name`, without a name.

    Raises:
        InvalidAnswer: The text has another form.
    """
    form = ("" if name else "NAME=") + "ACCOUNT:REGION" + ("=URL" if extra == "https" else "")
    name, _, rest = (name, "", text) if name else text.partition("=")
    place, _, url = rest.partition("=")
    account, _, region = place.partition(":")
    if not (name and account and region) or bool(url) != (extra == "https"):
        example = form.replace("NAME", "orders").replace("ACCOUNT:REGION", "222222222222:us-west-2")
        raise InvalidAnswer(f"{text!r} must have the form {form}, such as {example}")
    return Party(name, account, region, url or extra)


def ask(answers: Answers, question: Ask) -> None:
    """Ask for the parties of a deployment. An empty answer ends a list."""
    answers.publisher = party(question("Account and Region of the publisher (ACCOUNT:REGION)"), name="publisher")
    for text in _until_empty(question, "A sender in another account (NAME=ACCOUNT:REGION, empty: no more)"):
        answers.senders.append(party(text))
    for text in _until_empty(question, "A subscriber (NAME=ACCOUNT:REGION, empty: no more)"):
        kind = question('Its kind: "sqs", a queue, or "lambda", a function without a queue').strip('"')
        if kind not in ("sqs", "lambda"):
            raise InvalidAnswer(f"{kind!r} is no kind. Give sqs or lambda.")
        answers.subscribers.append(party(text, extra=kind))


def _until_empty(question: Ask, text: str) -> Iterator[str]:
    while answer := question(text):
        yield answer


def render(answers: Answers, file: Path) -> str:
    """Return the deployment file.

    Raises:
        DeploymentError: A value is invalid, or values conflict.
    """
    text = "\n".join([*_schema(file), *_lines(answers)]) + "\n"
    parse(tomllib.loads(text), file)
    return text


def _schema(file: Path) -> Iterator[str]:
    """Yield the line that names the JSON schema for editors: its path, relative to the folder of the file."""
    if SCHEMA.exists():
        path = Path(os.path.relpath(SCHEMA, file.resolve().parent)).as_posix()
        yield f"#:schema {quote(path if path.startswith('..') else f'./{path}')}"


def _lines(answers: Answers) -> Iterator[str]:
    yield "# All keys: docs/deployment-file.md of coatcheck. Check this file: coatcheck check."
    yield ""
    yield f"schema_version = {SCHEMA_VERSION}"
    yield f"{_key('name', answers.name)}# beginning of all physical names; it cannot be changed later"
    yield '# organization = "o-a1b2c3d4e5"     # denies principals outside this AWS organisation'
    yield "# ephemeral = true                  # for trials: `cdk destroy` deletes data too"
    if answers.publisher:
        yield from _place("[publisher]", answers.publisher, "topic, payload bucket and event bus")
        yield "# payload_lifetime_days = 101       # retention of payloads in S3"
    for sender in answers.senders:
        yield from _place("[[senders]]", sender, "its role puts events on the bus and uploads to its folder", name=True)
    for subscriber in answers.subscribers:
        yield from _subscriber(subscriber)
    if answers.research:
        yield from _place("[research]", answers.research, "SageMaker Studio: docs/administrators-guide.md")
        yield 'auth = "iam"                        # or "sso", with IAM Identity Center'
    yield ""
    yield "[operations]"
    yield '# emails = ["night@example.com"]    # each gets the alarms after a confirmation'


def _subscriber(subscriber: Party) -> Iterator[str]:
    comments = {"sqs": "a queue, a function that polls it, a state machine", "lambda": "a function, an ECS task"}
    kind = subscriber.extra if subscriber.extra in comments else "https"
    yield from _place("[[subscribers]]", subscriber, "account of the queue and the function", name=True)
    yield f"{_key('kind', kind)}# {comments.get(kind, 'your own web server')}"
    if kind == "https":
        yield f"endpoint = {as_toml(subscriber.extra)}"


def _place(header: str, place: Party, comment: str, *, name: bool = False) -> Iterator[str]:
    yield ""
    yield header
    if name:
        yield f"name = {as_toml(place.name)}"
    yield f"{_key('account', place.account)}# {comment}"
    yield f"region = {as_toml(place.region)}"


def _key(name: str, value: str) -> str:
    return f"{name} = {as_toml(value)}".ljust(36)


def answers_of(
    *,
    name: str,
    publisher: str | None,
    senders: Sequence[str],
    subscribers: Mapping[str, Sequence[str]],
    research: str | None,
) -> Answers:
    """Return the answers that options give. `subscribers` has the kinds as keys.

    Raises:
        InvalidAnswer: An option has another form, or is missing.
    """
    if publisher and not any(subscribers.values()):
        raise InvalidAnswer(
            "--publisher: needs a subscriber. Give --sqs, --lambda or --https. Without --publisher, the command asks."
        )
    return Answers(
        name,
        party(publisher, name="publisher") if publisher else None,
        [party(text) for text in senders],
        [party(text, extra=kind) for kind, texts in subscribers.items() for text in texts],
        party(research, name="research") if research else None,
    )
