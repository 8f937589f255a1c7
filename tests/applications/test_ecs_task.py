"""The default program of a task, as a process in the staged build context. FakeS3 replaces S3."""

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from claim_check import S3Object
from local.environment import ROOT
from shared.handoff import HandOff
from stacks.common.container_image import _ignored
from stacks.deployment.ecs_task import DEFAULT_CONTEXT
from stacks.subscriber.ecs_task import with_library
from tests.lambdas.claim_check.fake_s3 import OWNER, FakeS3

BUCKET, KEY = "payloads-111111111111", "payloads/message-1"
BODY = bytes(range(256)) * 12_000  # more than one MiB
HANDOFF = HandOff(
    message_id="message-1",
    stored=S3Object(BUCKET, KEY, OWNER, "us-east-1"),
    bytes=len(BODY),
    sha256=hashlib.sha256(BODY).hexdigest(),
)
SECRETS = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing"}


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    """The URL of an S3 with one payload."""
    with FakeS3() as fake:
        fake.put(BUCKET, KEY, BODY)
        yield fake.url


@pytest.fixture(scope="module")
def context() -> Iterator[Path]:
    with with_library(DEFAULT_CONTEXT) as staged:
        yield staged


def stores(**changed: object) -> str:
    return json.dumps([{"bucket": BUCKET, "prefix": "payloads/", "owner": OWNER, "region": "us-east-1", **changed}])


def run(context: Path, url: str, **changed: str | None) -> subprocess.CompletedProcess[str]:
    """Run `python main.py` in the context, as the Dockerfile does."""
    environment = {**HANDOFF.to_environment(), "TRUSTED_STORES": stores(), **changed}
    return subprocess.run(
        [sys.executable, "main.py"],
        cwd=context,
        env={
            **{name: value for name, value in environment.items() if value is not None},
            **SECRETS,
            "AWS_ENDPOINT_URL_S3": url,
            "PATH": os.environ["PATH"],
            "PYTHONDONTWRITEBYTECODE": "1",  # as in the image
        },
        capture_output=True,
        text=True,
        check=False,
    )


def test_task_logs_one_line(context: Path, s3: str) -> None:
    ended = run(context, s3)
    assert (ended.returncode, ended.stderr) == (0, "")
    (line,) = ended.stdout.splitlines()
    assert json.loads(line) == {
        "message_id": "message-1",
        "bytes": len(BODY),
        "sha256": hashlib.sha256(BODY).hexdigest(),
    }


@pytest.mark.parametrize(
    ("changed", "error"),
    [
        ({"PAYLOAD_SHA256": "0" * 64}, "PayloadCorrupt"),
        ({"PAYLOAD_BYTES": str(len(BODY) - 1)}, "PayloadCorrupt"),
        ({"PAYLOAD_KEY": "payloads/message-2"}, "PayloadMissing"),
        ({"TRUSTED_STORES": stores(owner="222222222222")}, "PayloadDenied"),
    ],
)
def test_task_exits_1_when_payload_is_unusable(context: Path, s3: str, changed: dict[str, str], error: str) -> None:
    ended = run(context, s3, **changed)
    assert (ended.returncode, ended.stdout) == (1, "")
    record = json.loads(ended.stderr)
    assert (record["error"], record["message_id"]) == (error, "message-1")


@pytest.mark.parametrize(
    ("changed", "text"),
    [
        ({"PAYLOAD_KEY": None}, "PAYLOAD_KEY is not set. The consume function or the task definition must set it."),
        (
            {"TRUSTED_STORES": None},
            "TRUSTED_STORES is not set. The consume function or the task definition must set it.",
        ),
        ({"PAYLOAD_BYTES": "many"}, "the environment is invalid"),
        ({"TRUSTED_STORES": stores(region="nowhere")}, "the environment is invalid"),
        ({"TRUSTED_STORES": stores(prefix="other/")}, "the environment is invalid"),
    ],
)
def test_task_exits_2_on_invalid_environment(context: Path, s3: str, changed: dict[str, str | None], text: str) -> None:
    ended = run(context, s3, **changed)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert text in ended.stderr
    assert len(ended.stderr.splitlines()) == 1


def test_context_has_every_file_of_the_dockerfile(context: Path) -> None:
    copied = [line.split() for line in (context / "Dockerfile").read_text().splitlines() if line.startswith("COPY")]
    assert len(copied) == 3
    for _, *sources, _ in copied:
        assert all((context / source).exists() for source in sources), sources
    included = {f"!{source}" for _, *sources, _ in copied for source in sources} | {"!Dockerfile"}
    assert {"*", *included} == {line for line in _ignored(context / "Dockerfile.dockerignore") if line[:2] != "**"}
    assert {path.suffix for path in (context / "claim_check").rglob("*") if path.is_file()} == {".py", ".typed"}


def test_image_runs_as_an_unprivileged_user() -> None:
    users = [line for line in (DEFAULT_CONTEXT / "Dockerfile").read_text().splitlines() if line.startswith("USER ")]
    assert users == ["USER 1000"]


def test_requirements_are_pinned_like_those_of_the_project() -> None:
    lines = (DEFAULT_CONTEXT / "requirements.txt").read_text().splitlines()
    pins = [line.split()[0] for line in lines if "==" in line]
    assert "--require-hashes" in (DEFAULT_CONTEXT / "Dockerfile").read_text()
    assert sum("--hash=sha256:" in line for line in lines) >= len(pins) >= 5
    assert not [line for line in lines if "://" in line]
    assert pins[0] in (ROOT / "pyproject.toml").read_text()
    project = (ROOT / "requirements.txt").read_text()
    assert all(f"{pin} " in project for pin in pins)
