"""docs/deployment-file.md: its tables are those of the models."""

import re

from stacks.deployment.ecs_task import EcsTaskConfig, NetworkConfig
from stacks.deployment.model import Deployment
from stacks.deployment.types import Table, tables
from tools.deployment_reference import PAGE, key_rows, render

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
