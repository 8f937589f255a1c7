"""Synthesis, and the cloud assembly."""

import json
from pathlib import Path
from typing import Any

import pytest

from access.assembly import AssemblyError, StackTemplate, SynthError, read, synthesize

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


def test_folder_without_manifest_is_rejected(tmp_path: Path) -> None:
    with pytest.raises(AssemblyError, match="is not a cloud assembly"):
        read(tmp_path)


def test_synthesize_reports_invalid_deployment_file(tmp_path: Path) -> None:
    with pytest.raises(SynthError, match=r"missing\.toml"):
        synthesize(tmp_path / "missing.toml")
