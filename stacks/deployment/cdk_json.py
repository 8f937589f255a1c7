"""The context and the deployment file of `cdk.json`, for programs that run without the CDK CLI."""

import json
import os
from pathlib import Path
from typing import Any

from stacks.deployment.problems import DeploymentError, Problem

FILE = Path(__file__).parents[2] / "cdk.json"


def context() -> dict[str, Any]:
    """Return the context values of cdk.json, without those given with `-c`."""
    values: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))["context"]
    return values


def deployment_file(path: str | Path | None) -> Path:
    """Return the path given with `-c deployment=…` or an option, otherwise the file that cdk.json names.

    Raises:
        DeploymentError: Neither `path` nor cdk.json names a file.
    """
    if path:
        return Path(path)
    default = context().get("deployment")
    if not default:
        text = "is missing. Name the deployment file there, or with an option."
        raise DeploymentError(FILE, [Problem("context.deployment", None, text)])
    return Path(os.path.relpath(FILE.parent / default))
