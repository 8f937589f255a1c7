"""Write stacks/deployment/region_table.json: the resource types that CloudFormation lacks in each Region.

    python tools/region_table.py

The source is CloudFormation's published schemas in the pinned cfn-lint. Run it after an update of cfn-lint, and after
a new resource type in `access/table.py`.
"""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from access.table import TABLE
from stacks.deployment.regions import TABLE_FILE, known_regions

_CFNLINT = find_spec("cfnlint")  # its import takes a second
assert _CFNLINT
assert _CFNLINT.origin
_SCHEMAS = Path(_CFNLINT.origin).parent / "data" / "schemas"


def table() -> dict[str, Any]:
    """Return the table: the schemas' date, and the missing types of each Region that has schemas."""
    used = [kind for kind in TABLE if kind.startswith("AWS::") and kind != "AWS::CDK::Metadata"]
    missing = {}
    complete = _types("us-east-1")
    for region in sorted(known_regions()):
        available = _types(region)
        # For Regions whose schemas are not published, cfn-lint has a copy of those of us-east-1.
        if available and (region == "us-east-1" or available != complete):
            missing[region] = [kind for kind in sorted(used) if kind not in available]
    version = json.loads((_SCHEMAS / "version.json").read_text(encoding="utf-8"))
    return {"date": version["schema_date"].partition("T")[0], "missing": missing}


def _types(region: str) -> dict[str, str]:
    file = _SCHEMAS / "providers" / f"{region}.json"
    found: dict[str, str] = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    return found


def render() -> str:
    """Return the file's text, with a line for each Region."""
    found = table()
    lines = [f"    {json.dumps(region)}: {json.dumps(kinds)}" for region, kinds in found["missing"].items()]
    return f'{{\n  "date": "{found["date"]}",\n  "missing": {{\n' + ",\n".join(lines) + "\n  }\n}\n"


if __name__ == "__main__":
    TABLE_FILE.write_text(render(), encoding="utf-8")
