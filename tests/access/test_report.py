"""The access report, and the command that prints it."""

import json

import pytest

from access.assembly import StackTemplate, SynthError
from access.inventory import Inventory
from access.policies import read_inventory
from access.report import render
from access.template import UnresolvedError
from cli.main import main
from stacks.deployment import load, load_messaging, parse_messaging
from tests.policies.mutants import MUTANTS
from tests.templates import ROOT, synthesize

SOURCE = "deployments/example.toml"
COMMITTED = (ROOT / "docs" / "access-matrix.md").read_text(encoding="utf-8")


def test_committed_report_is_current() -> None:
    assert render(read_inventory(synthesize(load(ROOT / SOURCE))), SOURCE) == COMMITTED, (
        "docs/access-matrix.md is out of date: run `make docs` and review the difference"
    )


@pytest.mark.exhaustive
def test_command_prints_committed_report(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    with pytest.raises(SystemExit, match=r"^0$"):
        main(["access"])  # of the example, the file in cdk.json
    assert capsys.readouterr().out == COMMITTED


def test_failed_synthesis_is_reported(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: object) -> tuple[StackTemplate, ...]:
        raise SynthError("a stack cannot be made")

    monkeypatch.setattr("access.assembly.synthesize", fail)
    with pytest.raises(SystemExit, match=r"^1$"):
        main(["access", "--deployment", str(ROOT / SOURCE)])
    assert capsys.readouterr().err == "a stack cannot be made\n"


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
    """Each mutant of the policies changes the report, so that a reviewer sees it in the difference."""
    table = json.loads(load_messaging(ROOT / SOURCE).model_dump_json())
    table["subscribers"][0] |= {"landing": {}}
    stacks = synthesize(parse_messaging({**table, "organization": "o-a1b2c3d4e5"}))
    inventory = read_inventory(stacks)
    text = render(inventory, SOURCE)
    changed = 0
    for mutant in MUTANTS:
        try:
            mutated = read_inventory(mutant.apply(stacks))
        except (UnresolvedError, KeyError):
            continue
        if _policies(mutated) != _policies(inventory):
            changed += 1
            assert render(mutated, SOURCE) != text, mutant.name
    assert changed > 100


def _policies(inventory: Inventory) -> dict[str, object]:
    return {
        **{f"{arn} resource policy": resource.policy for arn, resource in inventory.resource_policies.items()},
        **{f"{arn} own policies": role.policies for arn, role in inventory.roles.items()},
    }
