"""Synthesis, and the cloud assembly."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from access.assembly import AssemblyError, StackTemplate, SynthError, read, synthesize
from stacks.deployment import load
from tests.templates import ROOT, assembly

TEMPLATE: dict[str, Any] = {"Resources": {"Queue": {"Type": "AWS::SQS::Queue"}}}


def write_assembly(folder: Path, environment: str) -> Path:
    stack = {
        "type": "aws:cloudformation:stack",
        "environment": environment,
        "properties": {"templateFile": "Stack.template.json", "stackName": "stack"},
    }
    tree = {"type": "cdk:tree", "properties": {"file": "tree.json"}}
    (folder / "manifest.json").write_text(json.dumps({"artifacts": {"Stack": stack, "Tree": tree}}))
    (folder / "Stack.template.json").write_text(json.dumps(TEMPLATE))
    return folder


def test_assembly_lists_its_stacks(tmp_path: Path) -> None:
    (stack,) = read(write_assembly(tmp_path, "aws://111111111111/us-east-1"))
    assert stack == StackTemplate("Stack", "stack", "111111111111", "us-east-1", TEMPLATE)


def test_assembly_rejects_stack_without_account_or_region(tmp_path: Path) -> None:
    for environment in ("aws://unknown-account/us-east-1", "aws://111111111111/unknown-region"):
        with pytest.raises(ValueError, match=rf"Stack Stack has the environment '{environment}'\. Give it"):
            read(write_assembly(tmp_path, environment))


@pytest.mark.parametrize("kind", ["cdk:cloud-assembly", "not:invented-yet"])
def test_assembly_rejects_unread_artifact(kind: str, tmp_path: Path) -> None:
    write_assembly(tmp_path, "aws://111111111111/us-east-1")
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    manifest["artifacts"]["Stage"] = {"type": kind, "properties": {}}
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(AssemblyError, match=rf"Artifact Stage has the type '{kind}', which is not read\."):
        read(tmp_path)


def test_assembly_rejects_container_images(tmp_path: Path) -> None:
    write_assembly(tmp_path, "aws://111111111111/us-east-1")
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    manifest["artifacts"]["Stack.assets"] = {"type": "cdk:asset-manifest", "properties": {"file": "assets.json"}}
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    (tmp_path / "assets.json").write_text(json.dumps({"files": {}, "dockerImages": {"image": {}}}))
    with pytest.raises(AssemblyError, match="has container images"):
        read(tmp_path)


def _set(file: str, *path: str, **changes: Any) -> Callable[[Path], object]:
    """Return a function that changes an object of an assembly's file."""

    def change(assembly: Path) -> None:
        content = json.loads((assembly / file).read_text())
        node = content
        for key in path:
            node = node[key] if key else next(iter(node.values()))
        node |= changes
        (assembly / file).write_text(json.dumps(content))

    return change


def _template(assembly: Path) -> str:
    """Return the key of a stack's template among its assets."""
    files: dict[str, Any] = json.loads((assembly / "coatcheck-orders.assets.json").read_text())["files"]
    return next(key for key, asset in files.items() if asset["source"]["path"].endswith(".template.json"))


def _asset_of(file: str, assembly: Path) -> dict[str, Any]:
    """Return an asset that is another file under the key of the first one."""
    asset: dict[str, Any] = next(
        iter(json.loads((assembly / "coatcheck-orders.assets.json").read_text())["files"].values())
    )
    return asset | {"source": {"path": file, "packaging": "file"}}


STACK = ("manifest.json", "artifacts", "coatcheck-orders", "properties")
ASSET = ("coatcheck-orders.assets.json", "files", "")
ELSEWHERE: dict[str, tuple[Callable[[Path], object], str]] = {
    "other template": (_set(*STACK, stackTemplateAssetObjectUrl="s3://other/x.json"), "another template"),
    "deploying role": (_set(*STACK, assumeRoleArn="arn:aws:iam::9:role/x"), "assumeRoleArn is 'arn:aws:iam::9:role/x'"),
    "executing role": (_set(*STACK, cloudFormationExecutionRoleArn="x"), "cloudFormationExecutionRoleArn is 'x'"),
    "role for look-ups": (_set(*STACK, "lookupRole", arn="x"), "lookupRole is "),
    "packaging of an asset": (_set(*ASSET, "source", packaging="zip"), "not a file of the assembly"),
    "topic of events": (_set(*STACK, notificationArns=["x"]), "notificationArns is"),
    "parameters": (_set(*STACK, parameters={"A": "b"}), "parameters is"),
    "command as asset": (_set(*ASSET, source={"executable": ["id"], "packaging": "zip"}), "not a file of the assembly"),
    "file elsewhere": (_set(*ASSET, source={"path": "../x", "packaging": "file"}), "not a file of the assembly"),
    "bucket of an asset": (_set(*ASSET, "destinations", "", bucketName="other"), "bucketName is 'other'"),
    "role of an asset": (_set(*ASSET, "destinations", "", assumeRoleArn="x"), "assumeRoleArn is 'x'"),
    "template of another stack": (
        lambda assembly: _set(
            "coatcheck-orders.assets.json",
            "files",
            _template(assembly),
            "source",
            path="coatcheck-billing.template.json",
        )(assembly),
        "another template",
    ),
    "second asset of one key": (
        lambda assembly: _set(
            "coatcheck-orders.assets.json", "files", other=_asset_of("coatcheck-billing.template.json", assembly)
        )(assembly),
        "is the key of two assets",
    ),
    "asset of another stack": (
        lambda assembly: _set(*ASSET, "destinations", "", objectKey="0.zip")(assembly),
        "no resource uses the asset 0.zip|another template",
    ),
    "repeated key": (
        lambda assembly: (assembly / "manifest.json").write_text('{"artifacts": {}, "artifacts": {}}'),
        "a key is repeated",
    ),
    "template that was not uploaded": (
        lambda assembly: (assembly / "coatcheck-orders.template.json").write_text("{}"),
        "another template",
    ),
}


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return assembly(load(ROOT / "deployments" / "example.toml"), tmp_path_factory.mktemp("assembly"))


@pytest.mark.parametrize("name", ELSEWHERE)
def test_assembly_leading_elsewhere_is_rejected(name: str, example: Path, tmp_path: Path) -> None:
    shutil.copytree(example, tmp_path, dirs_exist_ok=True)
    change, problem = ELSEWHERE[name]
    change(tmp_path)
    with pytest.raises(AssemblyError, match=problem):
        read(tmp_path)


def test_folder_without_manifest_is_rejected(tmp_path: Path) -> None:
    with pytest.raises(AssemblyError, match="is not a cloud assembly"):
        read(tmp_path)


def test_synthesize_reports_invalid_deployment_file(tmp_path: Path) -> None:
    with pytest.raises(SynthError, match=r"missing\.toml"):
        synthesize(tmp_path / "missing.toml")
