"""`cdk.json`, for what runs without the CDK CLI: the same context, and the same deployment file."""

import json
import os
from pathlib import Path
from typing import Any

from stacks.deployment.problems import DeploymentError

FILE = Path(__file__).parents[2] / "cdk.json"


def context() -> dict[str, Any]:
    """What the CLI hands to the app, but for what `-c` overrides."""
    found: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))["context"]
    return found


def deployment_file(given: str | Path | None) -> Path:
    """`given`, by `-c deployment=…` or an option, else the file that cdk.json names, from its own folder.

    Raises:
        DeploymentError: cdk.json names none.
    """
    if given:
        return Path(given)
    named = context().get("deployment")
    if not named:
        raise DeploymentError(FILE, ["context.deployment: is missing; name the deployment file there, or by an option"])
    return Path(os.path.relpath(FILE.parent / named))
