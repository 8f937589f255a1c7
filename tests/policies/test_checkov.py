"""checkov, a judge of templates without a rule of this project: with all settings of a platform on.

`make check` installs it into a separate environment, because its pins contradict the project's.
"""

import json
import re
import subprocess
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from stacks.deployment import load, parse
from stacks.deployment.platform_checks import function_places
from tests.templates import EXAMPLES, ROOT, synthesize

CHECKOV = ROOT / "build" / "checkov" / "bin" / "checkov"
PAGE = ROOT / "docs" / "platform.md"

pytestmark = pytest.mark.exhaustive


def with_all_settings(file: Path) -> dict[str, Any]:
    """Return the table of an example with all settings, with a network wherever functions are."""
    deployment = load(file)
    table = deployment.model_dump(mode="json", exclude_none=True)
    network = {"subnet_ids": ["subnet-0123456789abcdef0"], "security_group_ids": ["sg-0123456789abcdef0"]}
    table["platform"] = {
        "permissions_boundary": "boundary",
        "customer_keys": True,
        "access_log_bucket": "access-logs-{account}-{region}",
        "reserved_concurrency": 5,
        "networks": [
            {"account": place.account, "region": place.region} | network for place in function_places(deployment)
        ],
    }
    return table


def test_only_documented_kinds_remain(tmp_path: Path) -> None:
    assert CHECKOV.exists(), "checkov is not installed: run `make build/checkov/installed`"
    for file in EXAMPLES:
        for stack in synthesize(parse(with_all_settings(file), file)):
            (tmp_path / f"{file.stem}-{stack.name}.json").write_text(json.dumps(stack.template))
    command = [str(CHECKOV), "--directory", str(tmp_path), "--framework", "cloudformation", "--output", "json"]
    done = subprocess.run(
        [*command, "--skip-download", "--quiet", "--compact"], capture_output=True, text=True, check=False
    )
    report = json.loads(done.stdout)
    assert report["summary"]["passed"] > 3_000
    assert report["summary"]["parsing_errors"] == 0
    remaining = defaultdict(set)
    for failed in report["results"]["failed_checks"]:
        remaining[failed["check_id"]].add(f"{Path(failed['file_path']).stem}: {failed['resource']}")
    documented = set(re.findall(r"^\| `(CKV\w+)` \|", PAGE.read_text(), flags=re.MULTILINE))
    assert {kind: sorted(found)[:5] for kind, found in remaining.items() if kind not in documented} == {}
    assert documented == set(remaining), "the page names kinds that no longer occur"
