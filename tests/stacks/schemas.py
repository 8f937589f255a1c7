"""CloudFormation's schemas of resource types, from the pinned cfn-lint."""

import json
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

_CFNLINT = find_spec("cfnlint")  # its import takes a second
assert _CFNLINT
assert _CFNLINT.origin
_SCHEMAS = Path(_CFNLINT.origin).parent / "data" / "schemas"


@cache
def types_by_region() -> dict[str, dict[str, str]]:
    """Return the resource types of each Region, each with the name of its schema's file."""
    files = (_SCHEMAS / "providers").glob("*-*.json")
    return {file.stem: json.loads(file.read_text()) for file in files}


@cache
def schema(resource_type: str) -> dict[str, Any]:
    """Return the schema of a type in us-east-1."""
    name = types_by_region()["us-east-1"][resource_type]
    found: dict[str, Any] = json.loads((_SCHEMAS / "resources" / f"{name}.json").read_text())
    return found
