"""docs/deployment-file.md and deployments/schema.json are those of the models."""

import json
import re
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator, ValidationError

from stacks.deployment.ecs_task import EcsTaskConfig, NetworkConfig
from stacks.deployment.model import Deployment
from stacks.deployment.types import Table, tables
from tools.deployment_reference import PAGE, SCHEMA, key_rows, render, schema

TEXT = PAGE.read_text(encoding="utf-8")
MODELS = {
    base for _, model in tables(Deployment) for base in model.__mro__ if issubclass(base, Table) and base is not Table
}


def test_tables_are_up_to_date() -> None:
    assert render(TEXT) == TEXT, "run: make docs"


def test_every_model_with_keys_has_one_table() -> None:
    documented = re.findall(r"<!-- keys: (\w+) -->", TEXT)
    assert sorted(documented) == sorted(model.__name__ for model in MODELS if len(list(key_rows(model))) > 2)


def test_every_key_has_a_meaning() -> None:
    assert [(model, row) for model in MODELS for row in key_rows(model) if not row[-1]] == []


def test_types_limits_and_defaults_are_in_words() -> None:
    rows = {row[0]: row[1:3] for model in (EcsTaskConfig, NetworkConfig) for row in key_rows(model)}
    assert rows["`cpu`"] == ("`256`, `512`, `1024`, `2048`, `4096`, `8192` or `16384`", "`512`")
    assert rows["`memory_mib`"] == ("integer, 512 to 122880", "`1024`")
    assert rows["`command`"] == ("array (text)", "`[]`")
    assert rows["`subnet_ids`"] == ("array (subnet id), 1 to 16 members", "required")
    assert rows["`image`"] == ("image with digest, `name@sha256:…`", "none")


def test_schema_is_up_to_date() -> None:
    assert SCHEMA.read_text(encoding="utf-8") == schema(), "run: make docs"


def errors(content: dict[str, Any]) -> list[str]:
    """Return the errors of an editor that uses the schema."""
    return _messages(Draft7Validator(json.loads(schema())).iter_errors(content))


def _messages(found: Iterable[ValidationError]) -> list[str]:
    return [text for error in found for text in (_messages(error.context) if error.context else [error.message])]


@pytest.mark.parametrize("file", sorted(SCHEMA.parent.glob("*.toml")), ids=lambda file: file.stem)
def test_editor_accepts_every_example(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    assert text.startswith("#:schema ./schema.json\n")
    assert errors(tomllib.loads(text)) == []


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ('account = "111111111111"', 'account = "1111"', "'1111' does not match"),
        ("[publisher]", "[publisher]\nfifi = true", "'fifi' was unexpected"),
        ('kind = "sqs"', 'kind = "sqs"\nbatch_size = 11', "11 is greater than the maximum of 10"),
        ('name = "shop"', "", "'name' is a required property"),
    ],
)
def test_editor_reports_wrong_keys_and_values(old: str, new: str, problem: str) -> None:
    text = (SCHEMA.parent / "example.toml").read_text(encoding="utf-8")
    assert old in text
    content = tomllib.loads(text.replace(old, new, 1))
    assert any(problem in error for error in errors(content))


@pytest.mark.parametrize(
    ("file", "old", "new", "places"),
    [
        ("example", "[publisher]", "[publisher]\nfifi = true", [["publisher"]]),
        ("research", 'auth = "sso"', 'auth = "ssh"', [["research", "auth"]]),
        ("research-messages", "[[subscribers]]", "[platform]\n[[senders]]", [[], ["senders", 1]]),
    ],
)
def test_editor_reports_a_problem_at_its_place(file: str, old: str, new: str, places: list[list[str | int]]) -> None:
    text = (SCHEMA.parent / f"{file}.toml").read_text(encoding="utf-8")
    assert old in text
    found = Draft7Validator(json.loads(schema())).iter_errors(tomllib.loads(text.replace(old, new, 1)))
    assert sorted({tuple(error.path): None for error in found}) == [tuple(place) for place in places]
