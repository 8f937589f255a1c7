"""The deployment file: one TOML file an environment, read and checked as a whole.

`Deployment.load(path)` returns frozen types or raises `DeploymentError`, which lists *every* problem, each with its
key, its value and what to do. The file's keys are the fields of the models below.
"""

from __future__ import annotations

import re
import tomllib
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, Field, ValidationError

from stacks.deployment import names
from stacks.deployment import research as settings
from stacks.deployment.application import FanOutConfig, LandingConfig
from stacks.deployment.checks import SNS_DEFAULT_MAXIMUM_BYTES, clashes, conflicts, over
from stacks.deployment.ecs_task import EcsTaskConfig, NetworkConfig
from stacks.deployment.filter_policy import FilterPolicy
from stacks.deployment.research import ResearchConfig
from stacks.deployment.state_machine import DefinitionFile, PermissionsFile, beside
from stacks.deployment.types import Account, Email, HttpsUrl, Name, NamedOnce, Region, RoleArn, Table, matches

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


DetailType = Annotated[str, Field(min_length=1, max_length=128)]


class PublisherConfig(Table):
    """`[publisher]`: the account that owns topic, payload bucket and event bus."""

    account: Account
    region: Region
    replicas: tuple[Region, ...] = Field(default=(), strict=False)
    """Regions into which S3 replicates payloads, for the subscribers there."""
    fifo: bool = False
    """A FIFO topic and FIFO queues: order kept within a message group."""
    maximum_message_bytes: int = Field(default=SNS_DEFAULT_MAXIMUM_BYTES, ge=1024, le=SNS_LARGEST_MAXIMUM_BYTES)
    """The threshold over which a payload is offloaded; the topic's maximum message size, when it is over SNS's own."""
    offload: Literal["over-threshold", "always", "never"] = "over-threshold"
    """Which payloads go to S3; with "never", one that does not fit into its message is refused."""
    maximum_payload_bytes: int = Field(default=2 * 1024**3, ge=1024, le=5 * 1024**4)
    """The largest upload that is published; subscribers' functions have to be able to read it within their time."""
    detail_types: Annotated[tuple[DetailType, ...], NamedOnce] = Field(default=(), strict=False)
    """The detail-types of events that are published, and no other; every one, when there are none."""
    archive_days: int = Field(default=30, ge=1, le=3650)
    """With `detail_types`: how long every other event is kept to be replayed."""
    payload_lifetime_days: int = Field(default=101, ge=1, le=3650)
    """How long an offloaded payload is kept. A pointer that comes later finds nothing."""
    accept_expired_pointers: bool = False
    """Allow a payload lifetime shorter than the time a pointer can be late."""


class SenderConfig(Table):
    """`[[senders]]`: an application that puts events on the bus and uploads to a folder of its own in the outbox."""

    name: Name
    """Names its stack, its role and its folder in the outbox."""
    account: Account
    region: Region | None = None
    """Where its stack is; the publisher's Region unless given."""


class _SubscriberConfig(Table):
    name: Name
    account: Account
    region: Region
    filter_policy: FilterPolicy | None = None
    """Which messages it gets; every one, when there is none."""
    filter_policy_scope: Literal["attributes", "body"] = "attributes"
    dead_letter_retention_days: RetentionDays = 14


class _FunctionSubscriberConfig(_SubscriberConfig):
    function_timeout_seconds: int = Field(default=300, ge=30, le=900)


class SqsSubscriberConfig(_FunctionSubscriberConfig):
    """`[[subscribers]]` with `kind = "sqs"`: a queue, a function that polls it, a state machine."""

    kind: Literal["sqs"]
    batch_size: int = Field(default=5, ge=1, le=10)
    maximum_concurrency: int = Field(default=10, ge=2, le=1000)
    maximum_receives: int = Field(default=5, ge=1, le=1000)
    """How many times a message is tried before SQS moves it to the dead-letter queue."""
    queue_retention_days: RetentionDays = 4
    visibility_timeout_seconds: int | None = Field(default=None, ge=30, le=43_200)
    """Six times the function's time-out unless given; less is refused."""
    landing: LandingConfig | None = None
    """Copy each payload into a bucket of the subscriber's own."""
    pipeline: Name | None = None
    """Make each payload a data set of this research pipeline, and start it with that."""
    fan_out: FanOutConfig | None = None
    """Process each item of a landed payload by itself."""
    definition: DefinitionFile | None = None
    """A state machine of one's own instead of ours: its definition, a JSON file."""
    permissions: PermissionsFile | None = None
    """What the role of that state machine may do besides: a JSON file, a list of IAM statements."""

    @property
    def visibility_timeout(self) -> int:
        """Seconds a received message stays hidden from other receivers."""
        return self.visibility_timeout_seconds or 6 * self.function_timeout_seconds


class LambdaSubscriberConfig(_FunctionSubscriberConfig):
    """`[[subscribers]]` with `kind = "lambda"`: a function subscribed directly, an ECS task."""

    kind: Literal["lambda"]
    maximum_concurrency: int | None = Field(default=None, ge=1, le=10_000)
    """How many invocations of the function at the same time; as many as its account has left, when not given."""
    task: EcsTaskConfig = EcsTaskConfig()
    """What runs with each message."""
    network: NetworkConfig | None = None
    """Where that runs; in a small network of its own, when there is none."""


class HttpsSubscriberConfig(_SubscriberConfig):
    """`[[subscribers]]` with `kind = "https"`: a web server anywhere, which reads payloads as a role of the account.

    `region` is where the server is, or what is nearest: its stack is where the topic is.
    """

    kind: Literal["https"]
    endpoint: HttpsUrl
    readers: tuple[RoleArn, ...] = Field(default=(), strict=False)
    """Roles of the account that may take on the reader role; whoever the account lets, when there are none."""


FunctionSubscriberConfig = SqsSubscriberConfig | LambdaSubscriberConfig
"""Those with a function that dereferences, an inbox and a dead-letter queue."""
SubscriberConfig = SqsSubscriberConfig | LambdaSubscriberConfig | HttpsSubscriberConfig


_LOG_RETENTION_DAYS = (
    *(1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731),
    *(1096, 1827, 2192, 2557, 2922, 3288, 3653),
)


def _that_logs_can_be_kept(days: int) -> int:
    if days not in _LOG_RETENTION_DAYS:
        raise ValueError(f"CloudWatch keeps logs for one of {', '.join(map(str, _LOG_RETENTION_DAYS))} days")
    return days


class OperationsConfig(Table):
    """`[operations]`: whom alarms tell, and what is kept to find out what happened."""

    emails: tuple[Email, ...] = Field(default=(), strict=False, max_length=10)
    """Who gets a mail from every stack's alarms, once they have confirmed the subscription that AWS mails them."""
    runbook: str = Field(default="docs/runbook.md", min_length=1, max_length=512)
    """Where people find the runbook: its address, which alarms and dashboards give."""
    log_retention_days: Annotated[int, AfterValidator(_that_logs_can_be_kept)] = 30


def _not_default(name: str) -> str:
    if name == "default":
        raise ValueError("is the name of the event bus that every account has; choose another")
    return name


class BaseDeployment(Table):
    """The keys outside any table. `name` begins every physical name, so that deployments can share an account."""

    name: Annotated[Name, AfterValidator(_not_default)]
    organization: Organization | None = None
    """When given, principals outside this AWS organisation are refused at every account boundary."""
    ephemeral: bool = False
    """For trials: `cdk destroy` deletes data too. Otherwise stateful resources are retained and stacks protected."""
    operations: OperationsConfig = OperationsConfig()


class Deployment(BaseDeployment):
    """A whole deployment file: messages and, where it has a `[research]` section, a research environment."""

    publisher: PublisherConfig
    senders: tuple[SenderConfig, ...] = ()
    subscribers: tuple[SubscriberConfig, ...]
    research: ResearchConfig | None = None

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


class ResearchDeployment(BaseDeployment):
    """A deployment file with a `[research]` section alone: no messages."""

    research: ResearchConfig


def load(path: Path) -> Deployment | ResearchDeployment:
    """Read and check a deployment file, with messages or without.

    Raises:
        DeploymentError: with every problem found; also when the file is missing or is not TOML.
    """
    return parse(_read(path), path)


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))  # some editors begin a file with a mark
    except FileNotFoundError:
        beside = ", ".join(sorted(str(p) for p in path.parent.glob("*.toml"))) or "none"
        raise DeploymentError(path, [f"there is no such file; deployment files beside it: {beside}"]) from None
    except (OSError, ValueError, RecursionError) as error:  # tomllib raises more than errors of its own
        raise DeploymentError(path, [f"cannot be read as TOML: {error}"]) from error


_SECTIONS = ("publisher", "senders", "subscribers", "research")


_MESSAGING = ("publisher", "senders", "subscribers")


def parse(table: dict[str, Any], path: Path = Path("deployment")) -> Deployment | ResearchDeployment:
    """Check a file already read; `path` names it in errors, and the files that it names begin at its folder.

    Part by part, so that a slip in one part does not hide what is wrong in, or between, the others.
    """
    problems = Problems()
    table = beside(table, path.parent)
    head = _part(BaseDeployment, {key: value for key, value in table.items() if key not in _SECTIONS}, "", problems)
    research = _research(table.get("research"), head, problems)
    if table.get("research") is not None and not any(table.get(key) for key in _MESSAGING):
        problems.refuse(path)
        assert research
        return ResearchDeployment(**dict(head), research=research)

    publisher = _part(PublisherConfig, table.get("publisher", {}), "publisher.", problems)
    senders = _senders(table.get("senders", []), problems)
    places = _subscribers(table.get("subscribers", []), problems)
    problems.lines += clashes(
        table.get("subscribers"), table.get("senders"), with_research=table.get("research") is not None
    )
    deployment = Deployment(
        **dict(head),
        publisher=publisher,
        senders=tuple(senders.values()),
        subscribers=tuple(places.values()),
        research=research,
    )
    found = conflicts(deployment, subscribers=places, senders=senders)
    problems.lines += (each.text for each in found if not problems.keys.intersection(each.keys))
    problems.refuse(path)
    return deployment


class Problems:
    """What is wrong so far: a line each, and the keys whose values are wrong in themselves."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.keys: set[str] = set()

    def refuse(self, path: Path) -> None:
        """Raises DeploymentError if there is any."""
        if self.lines:
            raise DeploymentError(path, self.lines)


def _research(table: object, head: BaseDeployment, problems: Problems) -> ResearchConfig | None:
    if table is None:
        return None
    try:
        research = ResearchConfig.model_validate(table)
    except ValidationError as error:
        _note(error, "research.", problems)
        return None
    problems.lines += settings.problems(research)
    if "name" not in problems.keys:
        problems.lines += (
            f"{key} = {value!r}: {over(what, name, limit)}; shorten it"
            for key, value, what, name, limit in names.research_names(head, research)
            if len(name) > limit
        )
    return research


T = TypeVar("T", bound=BaseModel)

# What stands in for a required value that is missing or wrong, so that the rest can be checked all the same.
_STAND_INS: dict[str, object] = {
    "name": "stand-in",
    "account": "000000000000",
    "region": "us-east-1",
    "kind": "sqs",
    "endpoint": "https://stand-in.invalid/",
}


def _part(model: type[T], table: object, key: str, problems: Problems) -> T:
    """`table` as a `model`; where it is none, its problems are noted and its sound values come with stand-ins."""
    try:
        return model.model_validate(table)
    except ValidationError as error:
        wrong = _note(error, key, problems)
    given = table if isinstance(table, dict) else {}
    sound = {name: value for name, value in given.items() if name in model.model_fields and name not in wrong}
    required = {name for name, field in model.model_fields.items() if field.is_required()} - set(sound)
    stand_ins = {name: _STAND_INS[name] for name in required}
    if model is LambdaSubscriberConfig and "kind" in stand_ins:
        stand_ins["kind"] = "lambda"
    return model.model_validate(sound | stand_ins)


def _note(error: ValidationError, key: str, problems: Problems) -> set[str]:
    """Note every problem of a part; answers the names of its own keys that are wrong."""
    details = [detail for detail in error.errors(include_url=False) if not _follows(detail)]
    wrong = {str(detail["loc"][0]) for detail in details if detail["loc"]}
    problems.lines += (_problem((key + _where(detail["loc"])).rstrip("."), detail) for detail in details)
    problems.keys |= {f"{key}{name}" for name in wrong}
    return wrong


def _follows(detail: Any) -> bool:
    """A list that is long enough is too short for pydantic when its members, of which it tells anyway, are wrong."""
    return bool(detail["type"] == "too_short" and len(detail["input"]) >= detail["ctx"]["min_length"])


def _where(steps: tuple[int | str, ...]) -> str:
    """`users[0].email`, `replicas[1]`: what is in a list is counted from 0."""
    spelled = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps)
    return spelled.removeprefix(".")


def _problem(key: str, detail: Any) -> str:
    given = repr(detail["input"])
    match detail["type"]:
        case "missing":
            return f"{key}: is missing"
        case "extra_forbidden" if re.fullmatch(r"subscribers\[\d+\]\.(\w+)", key) and (
            kinds := _kinds_with(key.rpartition(".")[2])
        ):
            return f"{key} = {given}: is a key of kind = {kinds} only; take it out, or change the kind"
        case "extra_forbidden":
            return f"{key} = {given}: is not a key here; {_meant(key.rpartition('.')[2])}"
        case "literal_error" if key.endswith(".kind"):
            return f'{key} = {given}: must be "sqs", "lambda" or "https"'
        case "literal_error":
            return f"{key} = {given}: must be {detail['ctx']['expected']}"
        case "model_type" if isinstance(detail["input"], list):
            header = re.sub(r"\[[0-9]+\]", "", key)
            return f"{key} = {given}: must be one table; write [{header}], in single brackets"
        case "model_type":
            return f"{key} = {given}: must be a table"
        case "string_type" if key.endswith("account"):
            return f"{key} = {given}: must be the 12 digits of an AWS account id, in quotes"
        case "too_short":
            return f"{key} = {given}: must have {detail['ctx']['min_length']} at least"
        case "too_long":
            return f"{key}: has {len(detail['input'])} members; must have {detail['ctx']['max_length']} at most"
        case "value_error":
            return f"{key} = {given}: {detail['ctx']['error']}"
        case _:
            return f"{key} = {given}: {re.sub('^[A-Z][a-z]+ should', 'must', detail['msg'])}"


def _senders(tables: object, problems: Problems) -> dict[str, SenderConfig]:
    """By their key in the file: `senders[0]`, counted from 0."""
    if not isinstance(tables, list):
        problems.lines.append(f"senders = {tables!r}: must be tables; write [[senders]], in double brackets")
        return {}
    keys = [f"senders[{index}]" for index in range(len(tables))]
    return {key: _part(SenderConfig, table, f"{key}.", problems) for key, table in zip(keys, tables, strict=True)}


_TABLES: dict[str, tuple[type[Table], ...]] = {
    "": (Deployment,),
    "operations": (OperationsConfig,),
    "publisher": (PublisherConfig,),
    "senders": (SenderConfig,),
    "subscribers": (SqsSubscriberConfig, LambdaSubscriberConfig, HttpsSubscriberConfig),
    "subscribers.landing": (LandingConfig,),
    "subscribers.fan_out": (FanOutConfig,),
    "subscribers.task": (EcsTaskConfig,),
    "subscribers.network": (NetworkConfig,),
    "research": (ResearchConfig,),
}
_LISTS = ("senders", "subscribers")


def _meant(name: str) -> str:
    """Where a key belongs; or the key that was probably meant, of all that there are."""
    if f"subscribers.{name}" in _TABLES:
        return f"write [subscribers.{name}], below the [[subscribers]] that it is for"
    homes = [table for table, models in _TABLES.items() if any(name in model.model_fields for model in models)]
    if homes:
        written = (
            f"in [[{table}]]" if table in _LISTS else f"in [{table}]" if table else "at the top" for table in homes
        )
        return f"it belongs {' or '.join(written)}"
    known = {name for models in _TABLES.values() for model in models for name in model.model_fields}
    close = get_close_matches(name, known, n=1)
    return f"did you mean {close[0]}?" if close else "is it misspelt?"


def _subscribers(tables: object, problems: Problems) -> dict[str, SubscriberConfig]:
    """By their key in the file: `subscribers[0]`, counted from 0."""
    if isinstance(tables, dict):
        problems.lines.append(f"subscribers = {tables!r}: must be tables; write [[subscribers]], in double brackets")
        return {}
    if not isinstance(tables, list) or not tables:
        problems.lines.append(
            "subscribers: at least one [[subscribers]] table is needed; without any, nothing is delivered"
        )
        return {}
    keys = [f"subscribers[{index}]" for index in range(len(tables))]
    return {key: _part(_kind(table), table, f"{key}.", problems) for key, table in zip(keys, tables, strict=True)}


_KINDS: dict[object, type[SubscriberConfig]] = {
    "sqs": SqsSubscriberConfig,
    "lambda": LambdaSubscriberConfig,
    "https": HttpsSubscriberConfig,
}


def _kind(table: object) -> type[SubscriberConfig]:
    kind = table.get("kind") if isinstance(table, dict) else None
    return _KINDS.get(kind, SqsSubscriberConfig) if isinstance(kind, str) else SqsSubscriberConfig


def _kinds_with(key: str) -> str:
    """The kinds of subscriber that have a key, as one would write them."""
    return " or ".join(f'"{kind}"' for kind, model in _KINDS.items() if key in model.model_fields)
