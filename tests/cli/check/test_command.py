"""`coatcheck check`: the sections of a page, exit codes."""

import json
from pathlib import Path
from typing import Any

import pytest

from cli.main import main
from tests.templates import ROOT

EXAMPLE = ROOT / "deployments" / "example.toml"


def check(capfd: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, Any]:
    with pytest.raises(SystemExit) as exit_:
        main(("check", *arguments, "--json"))
    printed = capfd.readouterr()
    assert not printed.err
    return int(str(exit_.value.code)), json.loads(printed.out)


def test_example_has_no_problem(capfd: pytest.CaptureFixture[str]) -> None:
    code, (page,) = check(capfd, str(EXAMPLE))
    sections = {section["title"]: section for section in page["sections"]}
    assert code == 0, page
    assert list(sections) == [
        *("File", "Names", "Regions", "Templates", "Policy sizes", "Access", "Lifetimes", "Quotas", "Costs")
    ]
    assert {title for title, section in sections.items() if section["level"] != "ok"} == {"File"}
    assert sections["File"]["findings"][0]["text"].startswith("account 111111111111, 222222222222")
    assert ["82 days", "longest delay of a pointer to billing"] in sections["Lifetimes"]["facts"]
    assert sections["Costs"]["facts"][0] == ["5.00 USD", "KMS keys: 5"]


def test_problems_of_the_file_are_those_of_load(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "prod.toml"
    file.write_text(EXAMPLE.read_text().replace('region = "us-west-2"', 'region = "us-west-9"'))
    code, (page,) = check(capfd, str(file))
    assert code == 1
    ((section,), (finding,)) = page["sections"], page["sections"][0]["findings"]
    assert section["title"] == "File"
    assert finding["text"].startswith('subscribers[0].region = "us-west-9": ')


def test_missing_file_exits_with_2(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        main(("check", "/nowhere.toml"))
    assert exit_.value.code == 2
    assert "'/nowhere.toml' does not exist" in capfd.readouterr().err
