"""What is in a function's bundle, and what moves its hash."""

import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import pytest
from aws_cdk import App

from access.assembly import read
from app import add_stacks
from stacks.common import bundle
from stacks.deployment import Deployment, function_files
from tests.stacks.policies import named_functions
from tests.templates import CONTEXT


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def staged(target: Path, *packages: str) -> dict[str, bytes]:
    for name, path in function_files.function_files(packages):
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        (target / name).write_bytes(path.read_bytes())
    return files(target)


def test_a_bundle_holds_its_own_packages_and_powertools(tmp_path: Path) -> None:
    found = staged(tmp_path / "publish", "claim_check", "publish")
    assert "publish/handler.py" in found
    assert "claim_check/__init__.py" in found
    assert "aws_lambda_powertools/__init__.py" in found
    assert not [name for name in found if name.startswith(("consume_", "shared", "boto"))]
    assert not [name for name in found if "__pycache__" in name or name.endswith((".pyc", "RECORD", "INSTALLER"))]
    assert [name for name in found if "LICENSE" in name]


def test_an_edit_to_one_handler_changes_no_other_bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lambdas = tmp_path / "lambdas"
    subprocess.run(["cp", "-r", str(function_files.LAMBDAS), str(lambdas)], check=True)
    monkeypatch.setattr(function_files, "LAMBDAS", lambdas)
    before = staged(tmp_path / "before", "claim_check", "consume_queue")
    (lambdas / "publish" / "handler.py").write_text("changed = True\n")
    other = ("__pycache__/handler.pyc", ".env", "notes/key.pem", "notes.txt", "handler.py.orig", ".git/config", "so.so")
    for name in other:
        (lambdas / "consume_queue" / name).parent.mkdir(exist_ok=True)
        (lambdas / "consume_queue" / name).write_text("secret")
    assert staged(tmp_path / "after", "claim_check", "consume_queue") == before
    (lambdas / "consume_queue" / "handler.py").write_text("changed = True\n")
    assert staged(tmp_path / "edited", "claim_check", "consume_queue") != before


def test_zip_file_is_reproducible() -> None:
    """Its name comes from its content, not from times, permissions or compression."""
    packages = ("claim_check", "publish")
    folder, digest = bundle._zipped(packages)
    with ZipFile(Path(folder.name) / "code.zip") as archive:
        assert {name: archive.read(name) for name in archive.namelist()} == {
            name: path.read_bytes() for name, path in function_files.function_files(packages)
        }
        assert {(member.date_time[0], member.external_attr >> 16) for member in archive.infolist()} == {(1980, 0o644)}
    assert bundle._zipped.__wrapped__(packages)[1] == digest
    assert bundle._zipped(("claim_check", "consume_queue"))[1] != digest


@pytest.mark.parametrize("function", ["publish", "consume_queue", "consume_topic", "copy_payload", "start_pipeline"])
def test_bundle_needs_only_the_runtime(tmp_path: Path, function: str) -> None:
    """Every module imports with the bundle and boto3 alone on the path, as in Lambda."""
    packages = ("claim_check", "shared", function)
    target = tmp_path / "bundle"
    staged(target, *packages)
    runtime = tmp_path / "runtime"
    runtime.mkdir()
    here = Path(sys.executable).parent.parent
    (site,) = here.glob("lib/python*/site-packages")
    for name in ("boto3", "botocore", "s3transfer", "urllib3", "dateutil", "six.py"):
        (runtime / name).symlink_to(site / name)
    modules = [
        ".".join(path.relative_to(target).with_suffix("").parts)
        for package in packages
        for path in sorted((target / package).rglob("*.py"))
        if path.name not in {"handler.py", "__init__.py"} and path.parent.name != "https"  # needs cryptography
    ]
    libraries = ["aws_lambda_powertools.utilities.batch", "aws_lambda_powertools.utilities.idempotency"]
    # -S and -I: no site-packages, no environment.
    code = f"import sys; sys.path[:0] = {[str(target), str(runtime)]!r}; " + "; ".join(
        f"import {module}" for module in [*modules, *libraries]
    )
    subprocess.run([sys.executable, "-S", "-I", "-W", "error::ImportWarning", "-c", code], check=True)


def test_assembly_has_all_code_when_the_cli_lists_stacks(example: Deployment, tmp_path: Path) -> None:
    """`cdk ls` asks for no code. A pipeline may deploy the assembly that it leaves."""
    app = App(context={**CONTEXT, "aws:cdk:bundling-stacks": []}, outdir=str(tmp_path))
    add_stacks(app, example)
    functions = [
        function for stack in read(Path(app.synth().directory)) for function in named_functions(stack.template)
    ]
    assert len(functions) == 4
    modules = set()
    for function in functions:
        with ZipFile(tmp_path / f"asset.{function['Code']['S3Key']}") as code:
            module = function["Handler"].replace(".", "/").removesuffix("/handler") + ".py"
            assert module in code.namelist()
            modules.add(module)
    assert len(modules) == 4
