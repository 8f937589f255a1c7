"""The library's footprint: constant memory, and few imports."""

from __future__ import annotations

import ast
import subprocess
import sys
import tracemalloc
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from claim_check import Publisher, Store
from claim_check.s3.client import MIB
from tests.lambdas.claim_check.conftest import TOPIC
from tests.lambdas.claim_check.deliveries import NotedSns
from tests.lambdas.claim_check.fake_s3 import OWNER, FakeS3

LAMBDAS = Path(__file__).parents[3] / "lambdas"

PUBLISH_AND_VERIFY = f"""
import resource, sys
import boto3
from botocore.config import Config
from claim_check import Dereferencer, Publisher, Store

class Sns:
    def publish(self, **request):
        self.request = request
        return {{"MessageId": "s-1"}}

def peak():  # MiB
    if sys.platform == "linux":  # where ru_maxrss starts at the parent's value
        line = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))
        return int(line.split()[1]) // 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024 // 1024

s3 = boto3.client("s3", region_name="eu-west-1", endpoint_url=sys.argv[1], aws_access_key_id="test",
                  aws_secret_access_key="test", config=Config(s3={{"addressing_style": "path"}}))
store, sns = Store("payloads-one", "payloads/", "{OWNER}", "eu-west-1"), Sns()
publisher = Publisher(topic_arn="arn:aws:sns:eu-west-1:{OWNER}:events", store=store, sns=sns, s3=s3)
publisher.publish(b"\\0", message_id="warm-up")
before = peak()
size = int(sys.argv[2])
published = publisher.publish((bytes(1_000_000) for _ in range(size // 1_000_000)), message_id="large")
after_publish = peak()
record = {{"MessageId": "m", "Body": sns.request["Message"], "MessageAttributes": sns.request["MessageAttributes"]}}
assert Dereferencer(stores=[store], s3=s3).message(record).payload.verify_by_reading().sha256 == published.sha256
print(published.size, after_publish - before, peak() - before)
"""


def run(code: str, *arguments: str) -> str:
    command = [sys.executable, "-c", code, *arguments]
    environment = {"PYTHONPATH": str(LAMBDAS), "AWS_EC2_METADATA_DISABLED": "true"}
    return subprocess.run(command, env=environment, check=True, capture_output=True, text=True, timeout=60).stdout


@pytest.mark.skipif(sys.platform == "win32", reason="resource is a Unix module")
def test_large_payload_needs_constant_memory(fake_s3: FakeS3) -> None:
    size, to_publish, to_verify = map(int, run(PUBLISH_AND_VERIFY, fake_s3.url, "128000000").split())
    assert size == 128_000_000
    assert to_publish < 100, "MiB of peak memory over the imports; a dozen parts"
    assert to_verify < 56, "MiB of peak memory over the imports: the limit, threads and their buffers"


def test_import_needs_no_boto3_and_no_environment() -> None:
    code = """
import os, sys
class Watched(dict):
    def __getitem__(self, name): raise AssertionError(name)
    get = __contains__ = __getitem__
import botocore.exceptions
os.environ = Watched()
import claim_check
print([name for name in ("boto3", "botocore.session", "s3transfer") if name in sys.modules])
"""
    assert run(code).strip() == "[]"


def test_library_imports_only_standard_library_and_boto() -> None:
    allowed = {"claim_check", "boto3", "botocore", "urllib3", "_typeshed"} | {
        f"mypy_boto3_{service}" for service in ("events", "s3", "sns", "sqs")
    }
    imported: dict[str, set[str]] = {}
    for path in (LAMBDAS / "claim_check").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [name.name for name in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            for name in names:
                imported.setdefault(name.split(".")[0], set()).add(path.name)
    assert set(imported) - set(sys.stdlib_module_names) - allowed == {"cryptography"}
    assert imported["cryptography"] == {"signature.py"}


def test_only_https_needs_cryptography() -> None:
    code = """
import sys
sys.modules["cryptography"] = None  # as where it is not installed
import claim_check
try:
    import claim_check.https
except ImportError as error:
    print(error.name.split(".")[0])
"""
    assert run(code).strip() == "cryptography"


def test_import_patches_nothing() -> None:
    code = """
import boto3, botocore.client
before = (boto3.Session, boto3.session.Session, boto3.client, botocore.client.BaseClient._make_api_call)
import claim_check, claim_check.https
print(before == (boto3.Session, boto3.session.Session, boto3.client, botocore.client.BaseClient._make_api_call))
"""
    assert run(code).strip() == "True"


class DiscardingS3:
    """An S3 client that stores nothing."""

    def __init__(self) -> None:
        events = SimpleNamespace(register=lambda *_, **__: None)
        self.meta = SimpleNamespace(config=SimpleNamespace(max_pool_connections=10), events=events)

    def create_multipart_upload(self, **_: Any) -> dict[str, str]:
        return {"UploadId": "u"}

    def upload_part(self, **request: Any) -> dict[str, str]:
        return {"ETag": str(len(request["Body"]))}

    def complete_multipart_upload(self, **_: Any) -> dict[str, str]:
        return {"ETag": "e"}


def test_text_with_one_emoji_needs_a_few_parts_of_memory(store: Store, sns: NotedSns) -> None:
    text = "x" * (48 * MIB) + "😀"  # Python needs four bytes for each character
    publisher = Publisher(topic_arn=TOPIC, store=store, sns=sns.client(), s3=cast("Any", DiscardingS3()))
    tracemalloc.start()
    try:
        published = publisher.publish(text)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert published.size == 48 * MIB + 4
    assert peak < 45 * MIB, "in addition to the caller's text; AWS's clients need 5 times the payload"
