"""The access report, and the command that prints it."""

import re
from dataclasses import replace

import pytest

from access.policies import read_inventory
from access.report import render
from cli.main import main
from stacks.deployment import load
from tests.policies.cases import organization
from tests.policies.mutants import statement_mutants
from tests.templates import ROOT, synthesize

SOURCE = "deployments/example.toml"
COMMITTED = (ROOT / "docs" / "access-matrix.md").read_text(encoding="utf-8")


def without_origin(report: str) -> str:
    """Return a report without commit and date, which change with each commit."""
    return re.sub(r"from [^\n]*\.", "from the templates.", report, count=1)


def test_committed_report_is_current() -> None:
    assert render(read_inventory(synthesize(load(ROOT / SOURCE))), SOURCE) == without_origin(COMMITTED), (
        "docs/access-matrix.md is out of date: run `make docs` and review the difference"
    )


@pytest.mark.exhaustive
def test_command_prints_committed_report(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    with pytest.raises(SystemExit, match=r"^0$"):
        main(["access"])  # of the example, the file in cdk.json
    assert without_origin(capsys.readouterr().out) == without_origin(COMMITTED)


def test_report_of_a_research_environment() -> None:
    text = render(read_inventory(synthesize(load(ROOT / "deployments" / "research.toml"))), "research.toml")
    assert "Principals of other accounts have no access." in text
    assert "| all principals | `*` | `*` | `aws:PrincipalAccount` = `555555555555` | OwnPrincipals |" in text
    passing = [line for line in text.splitlines() if "`iam:PassRole`" in line]
    assert passing
    for line in passing:
        assert "| `arn:aws:iam::555555555555:role/coatcheck-processing` |" in line
        assert "`iam:PassedToService` = `sagemaker.amazonaws.com`" in line
    ada = text.partition("### Role `coatcheck-studio-ada` of 555555555555")[2].partition("###")[0]
    assert "Assumed by sagemaker.amazonaws.com if `aws:SourceAccount` = `555555555555`" in ada
    assert "/users/ada/*`" in ada
    assert "users/grace" not in ada
    assert "**denied:** `sagemaker:CreateApp`" in ada


def test_report_names_permissions_boundaries() -> None:
    inventory = read_inventory(synthesize(load(ROOT / "deployments" / "research-images.toml")))
    text = render(inventory, "research-images.toml")
    assert text.count("Its permissions boundary is `research-boundary`.") == len(inventory.roles) > 15


def test_report_shows_every_change_of_a_policy() -> None:
    """One mutant of each kind changes the report, so that a reviewer sees it in the difference."""
    inventory = organization().inventory
    text, changed = render(inventory, SOURCE), 0
    mutants = {mutant.name.partition(": ")[2]: mutant for mutant in statement_mutants(inventory, set())}
    for mutant in mutants.values():
        own = mutant.inventory
        policies, roles = inventory.resource_policies | own.resource_policies, inventory.roles | own.roles
        broken = replace(inventory, resource_policies=policies, roles=roles)
        changed += 1
        assert render(broken, SOURCE) != text, mutant.name
    assert changed > 60
