"""Reading of the deployment file."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from stacks.deployment import research_checks
from stacks.deployment.checks import clashes, conflicts
from stacks.deployment.model import BaseDeployment, Deployment, ResearchDeployment
from stacks.deployment.problems import KINDS, DeploymentError, follows, in_words, where
from stacks.deployment.publisher import PublisherConfig
from stacks.deployment.quotas import over, research_names
from stacks.deployment.research import ResearchConfig
from stacks.deployment.sender import SenderConfig
from stacks.deployment.subscriber import LambdaSubscriberConfig, SqsSubscriberConfig, SubscriberConfig
from stacks.deployment.types import FOLDER


def load(path: Path) -> Deployment | ResearchDeployment:
    """Read and check a deployment file, with messages or without.

    Raises:
        DeploymentError: with every problem found; also when the file is missing or is not TOML.
    """
    return parse(_read(path), path)


def load_messaging(path: Path) -> Deployment:
    """Read and check a deployment file that has a `[publisher]`.

    Raises:
        DeploymentError: with every problem found; also when the file is missing or is not TOML.
    """
    return parse_messaging(_read(path), path)


def parse_messaging(table: dict[str, Any], path: Path = Path("deployment")) -> Deployment:
    """Check a table, already read, that has a `[publisher]`; `path` only names it in errors."""
    deployment = parse(table, path)
    if not isinstance(deployment, Deployment):
        raise DeploymentError(path, ["publisher: is missing; there is a [research] section alone, and no messages"])
    return deployment


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
    problems = Problems(path.parent)
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

    def __init__(self, folder: Path) -> None:
        self.context = {FOLDER: folder}
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
        research = ResearchConfig.model_validate(table, context=problems.context)
    except ValidationError as error:
        _note(error, "research.", problems)
        return None
    problems.lines += research_checks.problems(research)
    if "name" not in problems.keys:
        problems.lines += (
            f"{key} = {value!r}: {over(what, name, limit)}; shorten it"
            for key, value, what, name, limit in research_names(head, research)
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
        return model.model_validate(table, context=problems.context)
    except ValidationError as error:
        wrong = _note(error, key, problems)
    given = table if isinstance(table, dict) else {}
    sound = {name: value for name, value in given.items() if name in model.model_fields and name not in wrong}
    required = {name for name, field in model.model_fields.items() if field.is_required()} - set(sound)
    stand_ins = {name: _STAND_INS[name] for name in required}
    if model is LambdaSubscriberConfig and "kind" in stand_ins:
        stand_ins["kind"] = "lambda"
    return model.model_validate(sound | stand_ins, context=problems.context)


def _note(error: ValidationError, key: str, problems: Problems) -> set[str]:
    """Note every problem of a part; answers the names of its own keys that are wrong."""
    details = [detail for detail in error.errors(include_url=False) if not follows(detail)]
    wrong = {str(detail["loc"][0]) for detail in details if detail["loc"]}
    problems.lines += (in_words((key + where(detail["loc"])).rstrip("."), detail) for detail in details)
    problems.keys |= {f"{key}{name}" for name in wrong}
    return wrong


def _senders(tables: object, problems: Problems) -> dict[str, SenderConfig]:
    """By their key in the file: `senders[0]`, counted from 0."""
    if not isinstance(tables, list):
        problems.lines.append(f"senders = {tables!r}: must be tables; write [[senders]], in double brackets")
        return {}
    keys = [f"senders[{index}]" for index in range(len(tables))]
    return {key: _part(SenderConfig, table, f"{key}.", problems) for key, table in zip(keys, tables, strict=True)}


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


def _kind(table: object) -> type[SubscriberConfig]:
    kind = table.get("kind") if isinstance(table, dict) else None
    return KINDS.get(kind, SqsSubscriberConfig) if isinstance(kind, str) else SqsSubscriberConfig
