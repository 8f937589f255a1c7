"""`coatcheck access` and the document it writes."""

import pytest

from access.assembly import SynthError
from access.policies import concrete
from access.report import render
from access.template import UnresolvedError
from cli.__main__ import main
from stacks.deployment import load
from tests.policies.mutants import BY_HAND
from tests.policies.verdict import Judged, judged
from tests.templates import ROOT, synthesize

SOURCE = "deployments/example.toml"


def test_the_document_is_what_the_command_prints(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    assert main(["access"]) == 0  # of the example, which cdk.json names
    document = (ROOT / "docs" / "access-matrix.md").read_text(encoding="utf-8")
    assert capsys.readouterr().out == document, (
        "docs/access-matrix.md is stale: run `make docs` and review the difference"
    )


def test_a_deployment_that_cannot_be_made_says_why(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: object) -> object:
        raise SynthError("prod.toml: 1 problem")

    monkeypatch.setattr("cli.__main__.synthesize", refuse)
    assert main(["access", "--deployment", "prod.toml"]) == 1
    assert capsys.readouterr().err == "prod.toml: 1 problem\n"


def test_at_a_glance_is_the_contract(example: Judged) -> None:
    glance = render(example.found, SOURCE).partition("## At a glance")[2].partition("## Every door")[0]
    rows = [line for line in glance.splitlines() if line.startswith(("| account", "| role", "| everybody"))]
    assert [row.replace(" ", "") for row in rows] == [
        "|account222222222222|||`sns:Subscribe`||",
        "|account333333333333|||`sns:Subscribe`||",
        "|account444444444444||||`events:PutEvents`|",
        "|role`coatcheck-billing-reader`androle`coatcheck-billing-task`of333333333333|`s3:GetObject`|`kms:Decrypt`|||",
        "|role`coatcheck-orders-reader`of222222222222|`s3:GetObject`|`kms:Decrypt`|||",
        "|role`coatcheck-shop-sender`of444444444444|`s3:AbortMultipartUpload`<br>`s3:PutObject`"
        "|`kms:Decrypt`<br>`kms:GenerateDataKey`|||",
    ]


def test_a_research_environment_alone() -> None:
    """Of every kind of door and role, what a reviewer looks for."""
    document = render(concrete(synthesize(load(ROOT / "deployments" / "research.toml"))), "research.toml")
    glance = document.partition("## At a glance")[2].partition("## Every door")[0]
    assert "Nobody of another account" in glance
    assert "| everybody | `*` | `*` | `aws:PrincipalAccount` = `555555555555` | OwnPrincipals |" in document
    passing = [line for line in document.splitlines() if "`iam:PassRole`" in line]
    assert passing
    for line in passing:
        assert "| `arn:aws:iam::555555555555:role/coatcheck-processing` |" in line
        assert "`iam:PassedToService` = `sagemaker.amazonaws.com`" in line
    ada = document.partition("### Role `coatcheck-studio-ada` of 555555555555")[2].partition("###")[0]
    assert "Taken on by sagemaker.amazonaws.com when `aws:SourceAccount` = `555555555555`" in ada
    assert "/users/ada/*`" in ada
    assert "users/grace" not in ada
    assert "**not** `sagemaker:CreateApp`" in ada


def test_a_permission_boundary_is_told() -> None:
    found = concrete(synthesize(load(ROOT / "deployments" / "research-images.toml")))
    document = render(found, "research-images.toml")
    told = document.count("May do no more than its permission boundary `research-boundary` allows.")
    assert told == len(found.roles) > 15


def _policies(case: Judged) -> dict[str, object]:
    return {
        **{f"{arn} policy": each.policy for arn, each in case.found.guarded.items()},
        **{f"{arn} own": each.policies for arn, each in case.found.roles.items()},
    }


def test_no_change_of_a_policy_goes_unseen(in_organization: Judged) -> None:
    """A reviewer sees it in the document's difference."""
    document = render(in_organization.found, SOURCE)
    changed = 0
    for mutant in BY_HAND:
        try:
            case = judged(in_organization.deployment, mutant.of(in_organization.stacks))
        except (UnresolvedError, KeyError):
            continue
        if _policies(case) != _policies(in_organization):
            changed += 1
            assert render(case.found, SOURCE) != document, mutant.name
    assert changed > 100
