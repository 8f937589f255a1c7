"""The table `[subscribers.code]`: the application's own code, which the consume function calls with each message."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field, ValidationInfo
from typing_extensions import Doc

from stacks.deployment.state_machine import PermissionsFile
from stacks.deployment.types import Table, pattern, resolve_path

MODULE = "application.py"
"""File of the folder that defines `process(message)`."""
REQUIREMENTS = "requirements.txt"
OWN_CODE = "own_code/"
"""The folder in a function's code."""
RESERVE_SECONDS = 30
"""Time of an invocation that own code may not use: cold start, proof and hand-off."""
_FOREIGN = ("AWS_", "LAMBDA_", "POWERTOOLS_", "_")
"""Beginnings of variables that Lambda and Powertools use."""
RESERVED_VARIABLES = frozenset(
    [
        "APPLICATION",
        "CLUSTER_ARN",
        "CONTAINER",
        "DEAD_LETTER_QUEUE_URL",
        "IDEMPOTENCY_SECONDS",
        "IDEMPOTENCY_TABLE",
        "MAXIMUM_RECEIVES",
        "NETWORK",
        "PROCESS_SECONDS",
        "STAGING_STORE",
        "STATE_MACHINE_ARN",
        "TASK_DEFINITION_ARN",
        "TRUSTED_STORES",
    ]
)
"""Variables of the consume functions' own settings."""


def _check_folder(path: str, info: ValidationInfo) -> str:
    module = resolve_path(path, info) / MODULE
    try:
        tree = ast.parse(module.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ValueError(f"does not exist or has no {MODULE}. Paths are relative to the deployment file.") from None
    except (OSError, SyntaxError, ValueError) as error:
        raise ValueError(f"{MODULE} cannot be read as Python: {error}.") from None
    if "process" not in _names(tree):
        raise ValueError(f"{MODULE} has no function process(message). Add it, as in applications/count_lines.")
    return str(module.parent)


def _names(tree: ast.Module) -> Iterator[str]:
    """Yield the names that a module defines or imports."""
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef(name=name) | ast.Name(id=name, ctx=ast.Store()):
                yield name
            case ast.alias():
                yield node.asname or node.name


def _check_variable(name: str) -> str:
    if name in RESERVED_VARIABLES or name.startswith(_FOREIGN):
        raise ValueError("is a variable of the function itself. Choose another name.")
    return name


Folder = Annotated[str, AfterValidator(_check_folder), Doc("path from the deployment file")]
Variable = Annotated[
    str,
    pattern(
        "[A-Za-z_][A-Za-z0-9_]+",
        "must be a name of two or more letters, digits and underscores. It begins with a letter.",
    ),
    AfterValidator(_check_variable),
]


class CodeConfig(Table):
    """`[subscribers.code]`: own code, in Python, before the hand-off."""

    folder: Folder
    """Folder with `application.py`, which defines `process(message)`. Its `requirements.txt` may name packages of pure
    Python.
    """
    timeout_seconds: int = Field(default=50, ge=1, le=870)
    """Maximum time of `process` for one payload. Later the message has failed. `cdk synth` warns if it is too short to
    read the largest upload, at 20 MB/s.
    """
    memory_mib: int = Field(default=1024, ge=256, le=10_240)
    """Memory of the consume function. Lambda allocates CPU and network in proportion."""
    environment: dict[Variable, str] = Field(default_factory=dict)
    """Environment variables of the consume function."""
    permissions: PermissionsFile | None = None
    """JSON file with a list of IAM statements for the consume function's role, under the limits of
    `subscribers.state_machine.permissions`.
    """

    @property
    def path(self) -> Path:
        """The folder."""
        return Path(self.folder)

    def __hash__(self) -> int:
        return hash(self.model_dump_json())  # a dictionary has no hash
