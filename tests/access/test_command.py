"""The command `coatcheck access`: exit codes, findings, changes, and access to a resource."""

import json
import shutil
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from access.assembly import StackTemplate, SynthError
from cli.main import main
from stacks.deployment import load
from tests.templates import ROOT, assembly

DEPLOYMENTS = ROOT / "deployments"
EXAMPLE = DEPLOYMENTS / "example.toml"
STACK = "coatcheck-orders-undelivered"


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return assembly(load(EXAMPLE), tmp_path_factory.mktemp("assembly"))


def run(*arguments: object) -> int:
    with pytest.raises(SystemExit) as end:
        main(["access", *map(str, arguments)])
    assert isinstance(end.value.code, int)
    return end.value.code


def mutated(sound: Path, folder: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    shutil.copytree(sound, folder, dirs_exist_ok=True)
    file = folder / f"{STACK}.template.json"
    template, before = json.loads(file.read_text()), file.read_bytes()
    change(template)
    file.write_text(json.dumps(template))
    for name in ("manifest.json", f"{STACK}.assets.json"):  # which name the template by its digest
        old, new = (sha256(each).hexdigest() for each in (before, file.read_bytes()))
        (folder / name).write_text((folder / name).read_text().replace(old, new))
    return folder


ADMINISTRATOR = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "iam:*", "Resource": "*"}]}


def attach(template: dict[str, Any]) -> None:
    properties = {"PolicyName": "x", "PolicyDocument": ADMINISTRATOR, "Roles": ["coatcheck-orders-reader"]}
    template["Resources"]["Added"] = {"Type": "AWS::IAM::Policy", "Properties": properties}


def test_sound_assembly_has_no_finding(sound: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--deployment", EXAMPLE, "--assembly", sound) == 0
    output = capsys.readouterr()
    assert "**Findings: none." in output.out
    assert f"{EXAMPLE}, commit " in output.out
    assert not output.err


def test_finding_is_listed(sound: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = mutated(sound, tmp_path / "assembly", attach)
    assert run("--deployment", EXAMPLE, "--assembly", folder, "--output", tmp_path / "report.md") == 1
    report, output = (tmp_path / "report.md").read_text(), capsys.readouterr()
    assert "Findings: 2. They are listed at the end." in report
    for text in ("role/coatcheck-orders-reader: the policy allows", "AWS::IAM::Policy that is not in the intent"):
        assert text in report
        assert text in output.err


def test_unread_template_is_an_error(sound: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = mutated(sound, tmp_path / "assembly", lambda template: template.update(Transform="Other"))
    assert run("--deployment", EXAMPLE, "--assembly", folder) == 1
    output = capsys.readouterr()
    assert output.err == f"{STACK}: section Transform of the template is unknown\n"
    assert not output.out


def test_missing_stack_is_a_finding(sound: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file, account = tmp_path / "more.toml", 'account = "222222222222"\nregion = "us-west-2"'
    own = EXAMPLE.read_text().replace("../applications", f"{ROOT}/applications")
    file.write_text(f'{own}\n[[subscribers]]\nname = "new"\nkind = "sqs"\n{account}\n')
    assert run("--deployment", file, "--assembly", sound) == 1
    assert "coatcheck-new: the stack is missing" in capsys.readouterr().err


def test_change_is_listed(sound: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = mutated(sound, tmp_path / "assembly", attach)
    assert run("--deployment", EXAMPLE, "--assembly", folder, "--since", sound) == 1
    output = capsys.readouterr().out
    assert "| `coatcheck-orders-reader` | `iam:" in output
    assert run("--deployment", EXAMPLE, "--assembly", sound, "--since", folder) == 0
    assert capsys.readouterr().out.endswith("\n\nNothing.\n")


def test_access_to_resource_is_listed(sound: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--deployment", EXAMPLE, "--assembly", sound, "--resource", "coatcheck-payloads") == 0
    output = capsys.readouterr().out
    for principal in ("role `coatcheck-orders-reader` of 222222222222", "role `coatcheck-publisher` of 111111111111"):
        assert f"| {principal} |" in output
    assert "xray" not in output


@pytest.mark.exhaustive
@pytest.mark.parametrize("boundary", [None, DEPLOYMENTS / "research-boundary.json"], ids=["without", "with"])
def test_permissions_boundary_is_judged(boundary: Path | None, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--boundary", boundary] if boundary else []
    code = run("--deployment", DEPLOYMENTS / "research-images.toml", *options)
    error = capsys.readouterr().err
    assert code == (0 if boundary else 1), error
    assert bool(boundary) != ("Give its policy: --boundary FILE" in error)


def test_policies_are_not_proved_without_z3(
    sound: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: str) -> None:
        raise ValueError("'s3' is not a service of AWS")

    monkeypatch.setattr("access.findings.actions_of", fail)
    assert run("--deployment", EXAMPLE, "--assembly", sound) == 1
    assert capsys.readouterr().err.startswith("The policies are not proved: ")


def test_failed_synthesis_is_reported(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: object) -> tuple[StackTemplate, ...]:
        raise SynthError("a stack cannot be made")

    monkeypatch.setattr("access.command.synthesize", fail)
    assert run("--deployment", EXAMPLE) == 1
    assert capsys.readouterr().err == "a stack cannot be made\n"
