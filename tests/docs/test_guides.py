"""What the guides of the research environment copy from the code: quotas, fixed keys, policies and a picture."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from cli.topology import svg, topology
from stacks.deployment import ResearchNames, load
from stacks.deployment.research_checks import fixed_values
from stacks.deployment.service_quotas import APP_DEFAULTS, JOB_DEFAULTS, service_quotas

ROOT = Path(__file__).parents[2]
DEPLOYMENTS = ROOT / "deployments"
GUIDE = (ROOT / "docs" / "administrators-guide.md").read_text()
EXAMPLES = ("research", "research-images")


def section(heading: str) -> str:
    """Return the text of a section with its sub-sections."""
    level = heading.partition(" ")[0]
    text = GUIDE.partition(f"\n{heading}\n")[2]
    assert text, heading
    return re.split(rf"^#{{1,{len(level)}}} ", text, maxsplit=1, flags=re.MULTILINE)[0]


@pytest.mark.parametrize("example", EXAMPLES)
def test_guide_lists_every_quota_with_its_default(example: str) -> None:
    rows = [row.split(" | ") for row in section("### Quotas").splitlines() if row.startswith("| ")]
    defaults = {quota: default for _, quota, _, default in rows}
    for quotas in service_quotas(load(DEPLOYMENTS / f"{example}.toml")).values():
        for quota in quotas:
            name = re.sub(r"ml\.\w+\.\w+", r"\\<type>", quota.name)
            if "<type>" not in name:
                assert defaults[name].rstrip(" |") == str(quota.default)
            assert name in defaults


@pytest.mark.parametrize(("kind", "defaults"), [("Studio JupyterLab Apps", APP_DEFAULTS), ("processing", JOB_DEFAULTS)])
def test_guide_has_the_default_of_every_type(kind: str, defaults: dict[str, int]) -> None:
    (row,) = (row for row in section("### Quotas").splitlines() if row.startswith("| ") and kind in row)
    found: dict[str, int] = {}
    for types, value in re.findall(r"((?:`ml\.\w+\.\w+`(?:, )?)+)[^`;]*: (\d+)", row):
        found |= dict.fromkeys(re.findall(r"ml\.\w+\.\w+", types), int(value))
    assert found == defaults


@pytest.mark.parametrize("example", EXAMPLES)
def test_guide_lists_every_fixed_value(example: str) -> None:
    deployment = load(DEPLOYMENTS / f"{example}.toml")
    assert deployment.research
    text = section("## Keys that cannot be changed after deployment")
    for key in fixed_values(deployment.research, domain="d", key_id="k"):
        words = re.findall(r"owner|email|name of the profile|KMS key|[a-z_]+(?=\[0\])|[a-z_]+$", key)
        assert words[0].removesuffix(" of the profile") in text, key


def test_upload_policy_names_bucket_and_prefix_of_the_example() -> None:
    research = load(DEPLOYMENTS / "research.toml").research
    assert research
    names = ResearchNames("coatcheck", research)
    (policy,) = (json.loads(text) for text in re.findall(r"^```json\n(.*?)^```", GUIDE, re.MULTILINE | re.DOTALL))
    statements: dict[str, Any] = {statement["Sid"]: statement for statement in policy["Statement"]}
    assert statements["ListShared"]["Resource"] == names.data_bucket.arn
    assert statements["UploadToShared"]["Resource"] == f"{names.data_bucket.arn}/shared/*"
    assert statements["EncryptThroughS3"]["Condition"]["StringEquals"]["kms:ViaService"] == names.via_service


def test_picture_is_the_topology_of_the_example() -> None:
    drawn = svg(topology(load(DEPLOYMENTS / "research-messages.toml")))
    assert (ROOT / "docs" / "pictures" / "research-messages.svg").read_text() == drawn
