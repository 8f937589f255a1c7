"""Errors of the deployment file: all problems at once, pydantic's findings among them, in the file's own words."""

from __future__ import annotations

import re
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NamedTuple

from stacks.deployment.ecs_task import EcsTaskConfig, NetworkConfig
from stacks.deployment.model import Deployment
from stacks.deployment.operations import OperationsConfig
from stacks.deployment.publisher import OutboxConfig, PublisherConfig
from stacks.deployment.research import ResearchConfig
from stacks.deployment.sender import SenderConfig
from stacks.deployment.state_machine import StateMachineConfig
from stacks.deployment.subscriber import (
    FanOutConfig,
    HttpsSubscriberConfig,
    LambdaSubscriberConfig,
    LandingConfig,
    SqsSubscriberConfig,
    SubscriberConfig,
)
from stacks.deployment.types import Table


class DeploymentError(ValueError):
    """The deployment file cannot be used. `problems` has a line for each thing to mend."""

    def __init__(self, path: Path, problems: list[str]) -> None:
        self.problems = problems
        super().__init__(
            f"{path}: {len(problems)} problem{'s' * (len(problems) != 1)}\n" + "\n".join(f"  - {p}" for p in problems)
        )


class Conflict(NamedTuple):
    """`keys` of the file whose values conflict: when one of them is wrong in itself, that is what has to be said."""

    keys: tuple[str, ...]
    text: str


def follows(detail: Any) -> bool:
    """A list that is long enough is too short for pydantic when its members, of which it tells anyway, are wrong."""
    return bool(detail["type"] == "too_short" and len(detail["input"]) >= detail["ctx"]["min_length"])


def where(steps: tuple[int | str, ...]) -> str:
    """`users[0].email`, `replicas[1]`: what is in a list is counted from 0."""
    spelled = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps)
    return spelled.removeprefix(".")


def in_words(key: str, detail: Any) -> str:
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


_TABLES: dict[str, tuple[type[Table], ...]] = {
    "": (Deployment,),
    "operations": (OperationsConfig,),
    "publisher": (PublisherConfig,),
    "publisher.outbox": (OutboxConfig,),
    "senders": (SenderConfig,),
    "subscribers": (SqsSubscriberConfig, LambdaSubscriberConfig, HttpsSubscriberConfig),
    "subscribers.landing": (LandingConfig,),
    "subscribers.state_machine": (StateMachineConfig,),
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


KINDS: dict[object, type[SubscriberConfig]] = {
    "sqs": SqsSubscriberConfig,
    "lambda": LambdaSubscriberConfig,
    "https": HttpsSubscriberConfig,
}


def _kinds_with(key: str) -> str:
    """The kinds of subscriber that have a key, as one would write them."""
    return " or ".join(f'"{kind}"' for kind, model in KINDS.items() if key in model.model_fields)
