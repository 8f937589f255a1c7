"""The wheel: its content, and its use without this repository on the path."""

from __future__ import annotations

import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import boto3
import pytest

LAMBDAS = Path(__file__).parents[3] / "lambdas"
INSTALLED = Path(boto3.__file__).parents[1]

PUBLISH_AND_RECEIVE = """
import json, sys
import boto3
import claim_check
from claim_check import Dereferencer, Publisher, Store
from claim_check.https import Endpoint
from importlib.metadata import metadata, version
from moto import mock_aws

assert claim_check.__file__.startswith(sys.prefix), claim_check.__file__
assert version("claim-check") and metadata("claim-check").get_all("Provides-Extra") == ["https"]
assert not [path for path in sys.path if path.endswith("lambdas")]
with mock_aws():
    clients = {name: boto3.client(name, region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="x")
               for name in ("s3", "sns", "sqs")}
    clients["s3"].create_bucket(Bucket="payloads-one")
    topic = clients["sns"].create_topic(Name="events")["TopicArn"]
    queue = clients["sqs"].create_queue(QueueName="events")["QueueUrl"]
    clients["sns"].subscribe(TopicArn=topic, Protocol="sqs", Endpoint="arn:aws:sqs:us-east-1:123456789012:events")
    store = Store("payloads-one", "payloads/", "123456789012", "us-east-1")
    Publisher(topic_arn=topic, store=store, sns=clients["sns"], s3=clients["s3"]).publish(b"x" * 300_000)
    (record,) = clients["sqs"].receive_message(QueueUrl=queue, MessageAttributeNames=["All"])["Messages"]
    print(Dereferencer(stores=[store], s3=clients["s3"]).message(record).payload.verify_by_reading().size)
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=LAMBDAS, check=True, capture_output=True, timeout=60)
    (path,) = folder.iterdir()
    return path


def test_wheel_holds_the_library_alone(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    packaged = {name for name in names if ".dist-info/" not in name}
    sources = [path for path in (LAMBDAS / "claim_check").rglob("*") if path.is_file() and path.suffix != ".pyc"]
    assert packaged == {str(path.relative_to(LAMBDAS)) for path in sources}
    assert "claim_check/py.typed" in packaged
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in names)


def test_installed_wheel_publishes_and_receives(wheel: Path, tmp_path: Path) -> None:
    venv.create(tmp_path, symlinks=True)
    (site,) = tmp_path.glob("lib/python*/site-packages")
    # A path file makes boto3 and moto importable, but not this project: path files below INSTALLED are not read.
    (site / "installed.pth").write_text(f"{INSTALLED}\n")
    python = tmp_path / "bin" / "python"
    install = ["uv", "pip", "install", "--quiet", "--offline", "--no-deps", "--python", str(python), str(wheel)]
    subprocess.run([sys.executable, "-m", *install], check=True, capture_output=True, timeout=60)
    command = [str(python), "-I", "-c", PUBLISH_AND_RECEIVE]
    run = subprocess.run(command, cwd=tmp_path, check=False, capture_output=True, text=True, timeout=60)
    assert (run.stdout.strip(), run.stderr) == ("300000", "")
