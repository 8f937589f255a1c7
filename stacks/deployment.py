"""The deployment file: one TOML file an environment, read and checked as a whole.

`Deployment.load(path)` returns frozen types or raises `DeploymentError`, which lists *every* problem, each with its
key, its value and what to do. The file's keys are the fields of the models below.
"""

from __future__ import annotations

import tomllib
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, Field, ValidationError

from stacks import names
from stacks.fields import Account, Name, Region, Table, matches
from stacks.regions import is_opt_in, partition
from stacks.research import settings
from stacks.research.settings import Research

SNS_RETRY_DAYS = 23
"""How long SNS tries to deliver to SQS or Lambda (100,015 tries; SNS developer guide, "message delivery retries")."""
LAMBDA_RETRY_DAYS = 1
"""How long Lambda keeps an asynchronous event, six hours, in whole days."""
SNS_DEFAULT_MAXIMUM_BYTES = 262_144
SNS_LARGEST_MAXIMUM_BYTES = 1_048_576


class DeploymentError(ValueError):
    """The deployment file cannot be used. `problems` has a line for each thing to mend."""

    def __init__(self, path: Path, problems: list[str]) -> None:
        self.problems = problems
        super().__init__(
            f"{path}: {len(problems)} problem{'s' * (len(problems) != 1)}\n" + "\n".join(f"  - {p}" for p in problems)
        )


Organization = Annotated[str, matches(r"o-[a-z0-9]{10,32}", "must be an AWS Organizations id, such as o-a1b2c3d4e5")]
RetentionDays = Annotated[int, Field(ge=1, le=14)]


class Publisher(Table):
    """`[publisher]`: the account that owns topic, payload bucket and event bus."""

    account: Account
    region: Region
    senders: tuple[Account, ...] = Field(default=(), strict=False)
    """Accounts, besides the publisher's own, that may put events on the bus."""
    fifo: bool = False
    """A FIFO topic and FIFO queues: order kept within a message group."""
    maximum_message_bytes: int = Field(default=SNS_DEFAULT_MAXIMUM_BYTES, ge=1024, le=SNS_LARGEST_MAXIMUM_BYTES)
    """The topic's maximum message size, which is also the threshold over which a payload is offloaded."""
    always_offload: bool = False
    """Offload every payload, whatever its size."""
    payload_lifetime_days: int = Field(default=60, ge=1, le=3650)
    """How long an offloaded payload is kept. A pointer that comes later finds nothing."""
    accept_expired_pointers: bool = False
    """Allow a payload lifetime shorter than the time a pointer can be late."""


class _Subscriber(Table):
    name: Name
    account: Account
    region: Region
    function_timeout_seconds: int = Field(default=300, ge=30, le=900)
    dead_letter_retention_days: RetentionDays = 14


class SqsSubscriber(_Subscriber):
    """`[[subscribers]]` with `kind = "sqs"`: a queue, a function that polls it, a state machine."""

    kind: Literal["sqs"]
    batch_size: int = Field(default=5, ge=1, le=10)
    maximum_concurrency: int = Field(default=10, ge=2, le=1000)
    maximum_receives: int = Field(default=5, ge=1, le=1000)
    """How many times a message is tried before SQS moves it to the dead-letter queue."""
    queue_retention_days: RetentionDays = 4
    visibility_timeout_seconds: int | None = Field(default=None, ge=30, le=43_200)
    """Six times the function's time-out unless given; less is refused."""

    @property
    def visibility_timeout(self) -> int:
        """Seconds a received message stays hidden from other receivers."""
        return self.visibility_timeout_seconds or 6 * self.function_timeout_seconds


class LambdaSubscriber(_Subscriber):
    """`[[subscribers]]` with `kind = "lambda"`: a function subscribed directly, an ECS task."""

    kind: Literal["lambda"]


Subscriber = SqsSubscriber | LambdaSubscriber


class Head(Table):
    """The keys outside any table. `name` begins every physical name, so that deployments can share an account."""

    name: Name
    organization: Organization | None = None
    """When given, principals outside this AWS organisation are refused at every account boundary."""
    ephemeral: bool = False
    """For trials: `cdk destroy` deletes data too. Otherwise stateful resources are retained and stacks protected."""


class Deployment(Head):
    """A whole deployment file: messages and, where it has a `[research]` section, a research environment."""

    publisher: Publisher
    subscribers: tuple[Subscriber, ...]
    research: Research | None = None

    @classmethod
    def load(cls, path: Path) -> Deployment:
        """Read and check a deployment file that has a `[publisher]`.

        Raises:
            DeploymentError: with every problem found; also when the file is missing or is not TOML.
        """
        return cls.parse(_read(path), path)

    @classmethod
    def parse(cls, table: dict[str, Any], path: Path = Path("deployment")) -> Deployment:
        """Check a file already read; `path` only names it in errors."""
        deployment = parse(table, path)
        if not isinstance(deployment, cls):
            raise DeploymentError(path, ["publisher: is missing; there is a [research] section alone, and no messages"])
        return deployment


class ResearchDeployment(Head):
    """A deployment file with a `[research]` section alone: no messages."""

    research: Research


def load(path: Path) -> Deployment | ResearchDeployment:
    """Read and check a deployment file, with messages or without.

    Raises:
        DeploymentError: with every problem found; also when the file is missing or is not TOML.
    """
    return parse(_read(path), path)


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        beside = ", ".join(sorted(str(p) for p in path.parent.glob("*.toml"))) or "none"
        raise DeploymentError(path, [f"there is no such file; deployment files beside it: {beside}"]) from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise DeploymentError(path, [f"cannot be read as TOML: {error}"]) from error


_SECTIONS = ("publisher", "subscribers", "research")


def parse(table: dict[str, Any], path: Path = Path("deployment")) -> Deployment | ResearchDeployment:
    """Check a file already read; `path` only names it in errors.

    Part by part, so that a slip in one part does not hide what is wrong in, or between, the others.
    """
    problems: list[str] = []
    head = _part(Head, {key: value for key, value in table.items() if key not in _SECTIONS}, "", problems)
    research = _research(table.get("research"), head, problems)
    if table.get("research") is not None and not any(table.get(key) for key in ("publisher", "subscribers")):
        if problems or not (head and research):
            raise DeploymentError(path, problems)
        return ResearchDeployment(**dict(head), research=research)

    publisher = _part(Publisher, table.get("publisher", {}), "publisher.", problems)
    subscribers = _subscribers(table.get("subscribers", []), problems)
    if publisher:
        problems += _conflicts(publisher, subscribers)
    problems += _clashes(table.get("subscribers"), with_research=table.get("research") is not None)
    if not (head and publisher):
        raise DeploymentError(path, problems)
    deployment = Deployment(
        **dict(head), publisher=publisher, subscribers=tuple(subscribers.values()), research=research
    )
    problems += _too_long(deployment, list(subscribers))
    if problems:
        raise DeploymentError(path, problems)
    return deployment


def _research(table: object, head: Head | None, problems: list[str]) -> Research | None:
    if table is None:
        return None
    research = _part(Research, table, "research.", problems)
    if research:
        problems += settings.problems(research)
    if research and head:
        problems += (
            f"{key} = {value!r}: {_over(what, name, limit)}; shorten it"
            for key, value, what, name, limit in names.research_names(head, research)
            if len(name) > limit
        )
    return research


T = TypeVar("T", bound=BaseModel)
Found = dict[str, SqsSubscriber | LambdaSubscriber]
"""The subscribers that are sound in themselves, by their key in the file: `subscribers[0]`, counted from 0."""


def _part(model: type[T], table: object, key: str, problems: list[str]) -> T | None:
    """`table` as a `model`, or None with its problems added."""
    try:
        return model.model_validate(table)
    except ValidationError as error:
        problems += (
            _problem((key + _where(detail["loc"])).rstrip("."), detail) for detail in error.errors(include_url=False)
        )
        return None


def _where(steps: tuple[int | str, ...]) -> str:
    """`users[0].email`: the key of a value in a list of tables."""
    spelled = "".join(
        f"[{step}]" if isinstance(step, int) and isinstance(following, str) else f".{step}"
        for step, following in pairwise([*steps, None])
    )
    return spelled.removeprefix(".")


def _problem(key: str, detail: Any) -> str:
    given = repr(detail["input"])
    match detail["type"]:
        case "missing":
            return f"{key}: is missing"
        case "extra_forbidden":
            return f"{key} = {given}: is not a key of this file; is it misspelt?"
        case "literal_error" if key.endswith(".kind"):
            return f'{key} = {given}: must be "sqs" or "lambda"'
        case "literal_error":
            return f"{key} = {given}: must be {detail['ctx']['expected']}"
        case "string_type" if key.endswith("account") or ".senders." in key:
            return f"{key} = {given}: must be the 12 digits of an AWS account id, in quotes"
        case "value_error":
            return f"{key} = {given}: {detail['ctx']['error']}"
        case _:
            return f"{key} = {given}: {detail['msg'].replace('Input should', 'must', 1)}"


def _subscribers(tables: object, problems: list[str]) -> Found:
    if not isinstance(tables, list) or not tables:
        problems.append("subscribers: at least one [[subscribers]] table is needed; without any, nothing is delivered")
        return {}
    found: Found = {}
    for index, table in enumerate(tables):
        key = f"subscribers[{index}]"
        subscriber = _part(_kind(table), table, f"{key}.", problems)
        if subscriber:
            found[key] = subscriber
    return found


def _kind(table: object) -> type[SqsSubscriber | LambdaSubscriber]:
    is_lambda = isinstance(table, dict) and table.get("kind") == "lambda"
    return LambdaSubscriber if is_lambda else SqsSubscriber


def _conflicts(publisher: Publisher, subscribers: Found) -> Iterator[str]:
    """What each part allows alone and AWS, or the way of a message, does not allow together."""
    for account, times in Counter(publisher.senders).items():
        if times > 1:
            yield f"publisher.senders: {account!r} is there {times} times; name it once"
    for key, subscriber in subscribers.items():
        if partition(subscriber.region) != partition(publisher.region):
            yield (
                f"{key}.region = {subscriber.region!r}: is in the partition {partition(subscriber.region)}, "
                f"the publisher's Region {publisher.region} in {partition(publisher.region)}; SNS does not cross"
            )
        yield from _kind_conflicts[subscriber.kind](key, publisher, subscriber)
        yield from _late_pointers(key, publisher, subscriber)


def _sqs_conflicts(key: str, _: Publisher, subscriber: Any) -> Iterator[str]:
    least = 6 * subscriber.function_timeout_seconds
    if subscriber.visibility_timeout < least:
        yield (
            f"{key}.visibility_timeout_seconds = {subscriber.visibility_timeout}: must be at least 6 x "
            f"function_timeout_seconds = {least}, or a message is received again while it is still being processed"
        )


def _lambda_conflicts(key: str, publisher: Publisher, subscriber: Any) -> Iterator[str]:
    if publisher.fifo:
        yield (
            f'{key}.kind = "lambda": publisher.fifo is true and a FIFO topic delivers to SQS queues only; '
            'use kind = "sqs", or fifo = false'
        )
    if publisher.maximum_message_bytes > SNS_DEFAULT_MAXIMUM_BYTES:
        yield (
            f'{key}.kind = "lambda": publisher.maximum_message_bytes = {publisher.maximum_message_bytes} can grow past '
            f"Lambda's asynchronous limit of 1 MB once it is escaped as JSON; with a lambda subscriber at most "
            f"{SNS_DEFAULT_MAXIMUM_BYTES} is safe"
        )
    if subscriber.region != publisher.region and is_opt_in(subscriber.region):
        yield (
            f"{key}.region = {subscriber.region!r}: SNS does not deliver from another Region to a function in an "
            f'opt-in Region; use kind = "sqs", or {publisher.region}, where the publisher is'
        )


_kind_conflicts: dict[str, Callable[[str, Publisher, Any], Iterator[str]]] = {
    "sqs": _sqs_conflicts,
    "lambda": _lambda_conflicts,
}


def ways_to_be_late(subscriber: Subscriber) -> dict[str, int]:
    """The stations at which a pointer can wait on its way to the subscriber, one after the other, each in days."""
    waits = {"SNS retries": SNS_RETRY_DAYS, "redrive queue": subscriber.dead_letter_retention_days}
    if subscriber.kind == "sqs":
        waits["queue"] = subscriber.queue_retention_days
    else:
        waits["Lambda retries"] = LAMBDA_RETRY_DAYS
    return {**waits, "dead-letter queue": subscriber.dead_letter_retention_days}


def _late_pointers(key: str, publisher: Publisher, subscriber: Subscriber) -> Iterator[str]:
    waits = ways_to_be_late(subscriber)
    latest = sum(waits.values())
    if publisher.payload_lifetime_days < latest and not publisher.accept_expired_pointers:
        spelled = " + ".join(f"{station} {days}" for station, days in waits.items())
        yield (
            f"publisher.payload_lifetime_days = {publisher.payload_lifetime_days}: a pointer can reach {key} "
            f"({subscriber.name!r}) {latest} days late ({spelled}), when its payload is gone; use at least {latest}, "
            "or accept_expired_pointers = true"
        )


def _clashes(tables: object, *, with_research: bool) -> Iterator[str]:
    """Two things of one name, whatever else is wrong with them."""
    taken = {"publisher": "the publisher's stack and role", "publish": "the publish function"}
    if with_research:
        taken["research"] = "the research environment's stack"
    for index, table in enumerate(tables if isinstance(tables, list) else []):
        name = table.get("name") if isinstance(table, dict) else None
        if not isinstance(name, str):
            continue
        wanted = [name, f"{name}-redrive", f"{name}-dead-letters"]
        if clash := next((each for each in wanted if each in taken), None):
            yield f"subscribers[{index}].name = {name!r}: {clash!r} already names {taken[clash]}; choose another name"
        taken = dict.fromkeys(wanted, f"subscribers[{index}] or a queue of its") | taken


def _too_long(deployment: Deployment, keys: list[str]) -> Iterator[str]:
    """Physical names over what AWS takes."""
    limits = [
        ("name", deployment.name, "payload bucket", names.payload_bucket(deployment), 63),
        ("name", deployment.name, "publish function", names.publish_function(deployment), 64),
    ]
    for place, subscriber in zip(keys, deployment.subscribers, strict=True):
        key = f"{place}.name"
        limits += [
            (key, subscriber.name, "inbox bucket", names.inbox_bucket(deployment, subscriber), 63),
            (key, subscriber.name, "reader role", names.reader_role(deployment, subscriber), 64),
            (key, subscriber.name, "consume function", names.consume_function(deployment, subscriber), 64),
            (key, subscriber.name, "dead-letter queue", names.dead_letter_queue(deployment, subscriber), 80),
        ]
    for key, value, what, name, limit in limits:
        if len(name) > limit:
            yield f"{key} = {value!r}: {_over(what, name, limit)}; shorten it"


def _over(what: str, name: str, limit: int) -> str:
    return f"the {what}'s name {name!r} has {len(name)} characters, {limit} at most"
