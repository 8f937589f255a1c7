"""The documentation of the deployment file has every key, and no other."""

import json
import re
from pathlib import Path
from typing import get_args

import pytest
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from stacks.deployment import (
    Deployment,
    HttpsSubscriberConfig,
    LambdaSubscriberConfig,
    OperationsConfig,
    PublisherConfig,
    SenderConfig,
    SqsSubscriberConfig,
)
from stacks.deployment import research as settings
from stacks.deployment.ecs_task import EcsTaskConfig, NetworkConfig
from stacks.deployment.publisher import OutboxConfig
from stacks.deployment.state_machine import StateMachineConfig
from stacks.deployment.subscriber import LandingConfig
from stacks.deployment.types import Table

DOC = (Path(__file__).parents[2] / "docs" / "deployment-file.md").read_text()
MESSAGING = (
    Deployment,
    OutboxConfig,
    PublisherConfig,
    SenderConfig,
    SqsSubscriberConfig,
    LambdaSubscriberConfig,
    HttpsSubscriberConfig,
    LandingConfig,
    StateMachineConfig,
    OperationsConfig,
    EcsTaskConfig,
    NetworkConfig,
)
RESEARCH = {
    "## `[research]`": settings.ResearchConfig,
    "### `[research.identity_center]`": settings.IdentityCenterConfig,
    "### `[[research.users]]`": settings.UserConfig,
    "### `[[research.groups]]`": settings.GroupConfig,
    "### `[[research.spaces]]`": settings.SpaceConfig,
    "### `[[research.images]]`": settings.ImageConfig,
    "### `[[research.pipelines]]`": settings.PipelineConfig,
    "### `[research.budget]`": settings.BudgetConfig,
    "### `[research.workstation]`": settings.WorkstationConfig,
}


def keys(model: type[BaseModel]) -> dict[str, FieldInfo]:
    """Those with a value, and not a table of their own."""
    return {name: field for name, field in model.model_fields.items() if not is_table(field.annotation)}


def is_table(annotation: object) -> bool:
    if isinstance(annotation, type) and issubclass(annotation, Table):
        return True
    return any(map(is_table, get_args(annotation)))


def section(heading: str) -> str:
    """What is below a heading, up to the next one."""
    found = re.search(rf"^{re.escape(heading)}\n(.*?)(?=^#|\Z)", DOC, flags=re.MULTILINE | re.DOTALL)
    assert found, heading
    return found[1]


def documented(text: str) -> list[str]:
    rows = re.findall(r"^\| ((?:`[a-z_]+`(?:, )?)+) \|", text, flags=re.MULTILINE)
    return [key for row in rows for key in re.findall(r"`([a-z_]+)`", row)]


def test_every_key_is_documented_and_every_documented_key_exists() -> None:
    messaging = DOC.split("## `[research]`")[0]
    assert set(documented(messaging)) - {"sqs", "lambda", "https"} == {
        name for model in MESSAGING for name in keys(model)
    }


@pytest.mark.parametrize(("heading", "model"), RESEARCH.items())
def test_every_key_of_the_research_section_is_documented_once(heading: str, model: type[BaseModel]) -> None:
    assert sorted(documented(section(heading))) == sorted(keys(model))


def test_documented_defaults_are_the_defaults() -> None:
    for model in MESSAGING:
        for name, field in model.model_fields.items():
            if isinstance(field.default, bool | int):
                value = str(field.default).lower()
                assert f"| `{name}` | `{value}` |" in DOC, name


@pytest.mark.parametrize(("heading", "model"), RESEARCH.items())
def test_documented_defaults_of_the_research_section_are_the_defaults(heading: str, model: type[BaseModel]) -> None:
    text = section(heading)
    for name, field in keys(model).items():
        default = list(field.default) if isinstance(field.default, tuple) else field.default
        if isinstance(default, bool | int | str | list):
            # As TOML spells it, which for these is as JSON does.
            assert f"| `{name}` | `{json.dumps(default)}` |" in text, name


def test_every_relative_link_leads_somewhere() -> None:
    root = Path(__file__).parents[2]
    pages = [
        *root.glob("*.md"),
        *root.glob("docs/**/*.md"),
        *root.glob("lambdas/**/*.md"),
        *root.glob("containers/**/*.md"),
    ]
    assert len(pages) > 10
    broken = [
        f"{page.relative_to(root)}: {link}"
        for page in pages
        for link in re.findall(r"\]\(([^)#\s]+)", page.read_text())
        if "://" not in link and not (page.parent / link).exists()
    ]
    assert broken == []
