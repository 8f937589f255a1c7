"""`[subscribers.code]`: its folder, its variables and its permissions, and the time of a batch."""

import json
from pathlib import Path
from typing import Any

import pytest

from consume import settings
from consume_queue.settings import Settings as QueueSettings
from consume_topic.settings import Settings as TopicSettings
from stacks.deployment import parse
from stacks.deployment.own_code import RESERVED_VARIABLES
from tests.stacks.deployment.samples import billing, orders, problem

PROCESS = "def process(message):\n    return None\n"


def folder(tmp_path: Path, text: str = PROCESS) -> Path:
    """Write the code, and return the path of a deployment file next to it."""
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "application.py").write_text(text)
    return tmp_path / "deployment.toml"


def code(**keys: Any) -> dict[str, Any]:
    return {"folder": "code"} | keys


@pytest.mark.parametrize("text", [PROCESS, "from helper import process\n", "process = lambda message: None\n"])
def test_folder_defines_process(tmp_path: Path, text: str) -> None:
    parse(orders(application="function", code=code()), folder(tmp_path, text))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("def handler(event): ...\n", "application.py has no function process(message). Add it"),
        ("def process(:\n", "application.py cannot be read as Python: invalid syntax"),
    ],
)
def test_folder_without_process_is_reported(tmp_path: Path, text: str, expected: str) -> None:
    assert f'subscribers[0].code.folder = "code": {expected}' in problem(orders(code=code()), folder(tmp_path, text))


def test_missing_folder_is_reported(tmp_path: Path) -> None:
    line = problem(orders(code=code()), tmp_path / "deployment.toml")
    assert line.startswith('subscribers[0].code.folder = "code": does not exist or has no application.py.')


@pytest.mark.parametrize("name", ["AWS_REGION", "LAMBDA_TASK_ROOT", "TRUSTED_STORES", "PROCESS_SECONDS", "_HANDLER"])
def test_variables_of_the_function_are_reserved(tmp_path: Path, name: str) -> None:
    line = problem(orders(code=code(environment={name: "x"})), folder(tmp_path))
    assert line == (
        f'subscribers[0].code.environment = "{name}": is a variable of the function itself. Choose another name.'
    )


@pytest.mark.parametrize("name", ["X", "9X", "A-B", ""])
def test_variable_with_an_invalid_name_is_reported(tmp_path: Path, name: str) -> None:
    line = problem(orders(code=code(environment={name: "x"})), folder(tmp_path))
    assert f'subscribers[0].code.environment = "{name}": must be a name of two or more letters, digits' in line


def test_reserved_variables_are_those_of_the_settings() -> None:
    classes = (
        *(settings.StateMachineSettings, settings.EcsTaskSettings, settings.FunctionSettings, settings.OwnCodeSettings),
        *(QueueSettings, TopicSettings),
    )
    assert {name.upper() for each in classes for name in each.__dataclass_fields__} == RESERVED_VARIABLES


def test_time_of_a_batch_counts_every_payload(tmp_path: Path) -> None:
    path = folder(tmp_path)
    assert problem(orders(code=code(timeout_seconds=60)), path) == (
        "subscribers[0].function_timeout_seconds = 300: own code may take 5 x 60 s, and the function needs 30 s more. "
        "Use at least 330, or lower code.timeout_seconds or batch_size."
    )
    parse(orders(code=code(timeout_seconds=60), batch_size=4), path)
    parse(billing(code=code(timeout_seconds=270)), path)
    assert "own code may take 271 s" in problem(billing(code=code(timeout_seconds=271)), path)


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ({"Action": "iam:CreateRole", "Resource": "*"}, "an application may not change or assume identities."),
        ({"Action": "s3:GetObject", "Resource": "*"}, "of the deployment. Give another ARN"),
        ({"Action": "s3:GetObject", "Resource": "${Landing}"}, "the placeholder ${Landing} has no value. Use an ARN."),
    ],
)
def test_permissions_have_a_ceiling(tmp_path: Path, statement: dict[str, str], expected: str) -> None:
    path = folder(tmp_path)
    (tmp_path / "permissions.json").write_text(json.dumps([{"Effect": "Allow", **statement}]))
    line = problem(orders(code=code(permissions="permissions.json")), path)
    assert line.startswith("subscribers[0].code.permissions = ")
    assert expected in line
