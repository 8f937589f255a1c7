"""`coatcheck check`: the sections of a page, exit codes."""

import json
from pathlib import Path
from typing import Any

import pytest

from access.assembly import StackTemplate
from cli.check import command
from cli.check.command import _costs, _warnings
from cli.check.templates import lint
from stacks.deployment import load
from tests.cli.conftest import run
from tests.templates import ROOT, synthesize

EXAMPLE = ROOT / "deployments" / "example.toml"


def check(capfd: pytest.CaptureFixture[str], file: Path) -> tuple[int, Any]:
    """Return the exit code and the page."""
    code, printed = run("check", file, "--json"), capfd.readouterr()
    assert not printed.err
    (page,) = json.loads(printed.out)
    return code, page


def test_example_has_no_problem(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "synthesize", lambda file: synthesize(load(file)))
    # tests/policies/test_hygiene.py has cfn-lint's findings in all stacks.
    monkeypatch.setattr(command, "lint", lambda stacks: lint(stacks[-1:]))
    code, page = check(capfd, EXAMPLE)
    sections = {section["title"]: section for section in page["sections"]}
    assert code == 0, page
    assert list(sections) == [
        *("File", "Names", "Regions", "Templates", "Policy sizes", "Access", "Lifetimes", "Quotas", "Costs")
    ]
    assert {title for title, section in sections.items() if section["level"] != "ok"} == {"File"}
    assert sections["File"]["findings"][0]["text"].startswith("account 111111111111, 222222222222")
    assert ["82 days", "longest delay of a pointer to billing"] in sections["Lifetimes"]["facts"]
    assert "coatcheck-publisher, us-east-1" in [place for _, place in sections["Costs"]["facts"]]


def test_problems_of_the_file_are_those_of_load(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "prod.toml"
    file.write_text(
        EXAMPLE.read_text().replace('region = "us-west-2"', 'region = "us-west-9"').replace("../", f"{ROOT}/")
    )
    code, page = check(capfd, file)
    assert code == 1
    ((section,), (finding,)) = page["sections"], page["sections"][0]["findings"]
    assert section["title"] == "File"
    assert finding["text"].startswith('subscribers[0].region = "us-west-9": ')


def test_missing_file_exits_with_2(capfd: pytest.CaptureFixture[str]) -> None:
    assert run("check", "/nowhere.toml") == 2
    assert "'/nowhere.toml' does not exist" in capfd.readouterr().err


def test_region_without_prices_is_a_note() -> None:
    assert not _costs([StackTemplate("a", "a", "1", "us-east-1", {"Resources": {}})]).findings
    (found,) = _costs([StackTemplate("a", "a", "1", "sa-east-1", {"Resources": {}})]).findings
    assert found.text == "Without own prices, so with those of us-east-1: sa-east-1."


def test_image_without_digest_is_a_problem() -> None:
    """Its build ends at once. Each base is reported once."""
    stacks = synthesize(load(ROOT / "deployments" / "research-images.toml"))
    found = list(_warnings(stacks))
    assert [each.level for each in found if "has no digest" in each.text] == ["problem", "problem"]
    assert [each.level for each in found if "Studio Classic" in each.text] == ["note"]
    assert not any("[ack" in each.text for each in found)
