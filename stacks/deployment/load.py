"""Reading of the deployment file, in two phases: each value alone, then values together."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from stacks.deployment.checks import check
from stacks.deployment.model import SCHEMA_VERSION, Deployment, ResearchDeployment
from stacks.deployment.problems import DeploymentError, Problem, invalid_values
from stacks.deployment.types import FOLDER

_MAXIMUM_BYTES = 2**20
"""A file of the most subscribers and senders is smaller. A larger one, or a device, is another file by mistake."""
MESSAGING_KEYS = frozenset({"publisher", "senders", "subscribers"})


def load(path: Path) -> Deployment | ResearchDeployment:
    """Read and check a deployment file.

    Raises:
        DeploymentError: With all problems. Also if the file does not exist or is not TOML.
    """
    return parse(_read(path), path)


def load_messaging(path: Path) -> Deployment:
    """Read and check a deployment file that must have messages.

    Raises:
        DeploymentError: With all problems. Also if the file has a research environment alone.
    """
    return parse_messaging(_read(path), path)


def parse(table: dict[str, Any], path: Path = Path("deployment")) -> Deployment | ResearchDeployment:
    """Check a file's table. Errors name `path`, and relative paths in the file start from its folder.

    A file of another version gets one problem, about its version. The second phase runs only if all values are valid.

    Raises:
        DeploymentError: With all problems.
    """
    if problem := _other_version(table.get("schema_version", 1)):
        raise DeploymentError(path, [problem])
    is_research_alone = "research" in table and not MESSAGING_KEYS & table.keys()
    model = ResearchDeployment if is_research_alone else Deployment
    try:
        deployment = model.model_validate(table, context={FOLDER: path.parent})
    except ValidationError as error:
        raise DeploymentError(path, invalid_values(error)) from None
    if problems := list(check(deployment)):
        raise DeploymentError(path, problems)
    return deployment


def _other_version(version: object) -> Problem | None:
    if not isinstance(version, int) or version == SCHEMA_VERSION:
        return None
    known = f"This coatcheck reads version {SCHEMA_VERSION}."
    remedy = (
        "Install a newer coatcheck: the changelog names the release."
        if version > SCHEMA_VERSION
        else f"Make the changes in docs/upgrading.md, then write schema_version = {SCHEMA_VERSION}."
    )
    return Problem("schema_version", version, f"{known} {remedy}")


def parse_messaging(table: dict[str, Any], path: Path = Path("deployment")) -> Deployment:
    """Check a file's table that must have messages. See `parse`.

    Raises:
        DeploymentError: With all problems. Also if the table has a research environment alone.
    """
    deployment = parse(table, path)
    if isinstance(deployment, ResearchDeployment):
        raise DeploymentError(path, [Problem("publisher", None, "is missing. Add [publisher] and [[subscribers]].")])
    return deployment


def _read(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            content = file.read(_MAXIMUM_BYTES + 1)
        if len(content) > _MAXIMUM_BYTES:
            raise ValueError("it is larger than 1 MiB")  # noqa: TRY301 - like every reason
        return tomllib.loads(content.decode("utf-8-sig"))  # some editors write a byte order mark
    except FileNotFoundError:
        files = ", ".join(sorted(str(file) for file in path.parent.glob("*.toml"))) or "none"
        raise DeploymentError(path, [f"The file does not exist. Deployment files in its folder: {files}."]) from None
    except (OSError, ValueError, RecursionError) as error:  # tomllib does not translate every error
        raise DeploymentError(path, [f"The file cannot be read as TOML: {error}."]) from error
