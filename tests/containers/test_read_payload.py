"""What a task runs, as a process of its own: the staged build context's program against an S3 on this machine."""

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from stacks.common.container_image import _ignored
from stacks.deployment.ecs_task import OURS
from stacks.subscriber.ecs_task import with_library
from tests.claim_check.fake_s3 import OWNER, FakeS3
from tests.templates import ROOT

BUCKET, KEY = "payloads-111111111111", "payloads/message-1"
BODY = bytes(range(256)) * 12_000  # more than one piece
SECRETS = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing"}


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    """The address of an S3 with one payload."""
    with FakeS3() as fake:
        fake.put(BUCKET, KEY, BODY)
        yield fake.url


@pytest.fixture(scope="module")
def context() -> Iterator[Path]:
    with with_library(OURS) as staged:
        yield staged


def stores(**changed: object) -> str:
    return json.dumps([{"bucket": BUCKET, "prefix": "payloads/", "owner": OWNER, "region": "us-east-1", **changed}])


def run(context: Path, address: str, **changed: str | None) -> subprocess.CompletedProcess[str]:
    """As the Dockerfile does: `python main.py` in the context, and nothing of this project beside it."""
    environment = {
        "MESSAGE_ID": "message-1",
        "PAYLOAD_BUCKET": BUCKET,
        "PAYLOAD_KEY": KEY,
        "TRUSTED_STORES": stores(),
        "PAYLOAD_BYTES": str(len(BODY)),
        "PAYLOAD_SHA256": hashlib.sha256(BODY).hexdigest(),
        **changed,
    }
    return subprocess.run(
        [sys.executable, "main.py"],
        cwd=context,
        env={
            **{name: value for name, value in environment.items() if value is not None},
            **SECRETS,
            "AWS_ENDPOINT_URL_S3": address,
            "PATH": os.environ["PATH"],
            "PYTHONDONTWRITEBYTECODE": "1",  # as in the image; and the context stays as it was staged
        },
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_whole_payload_is_told_in_one_line(context: Path, s3: str) -> None:
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
        ({"TRUSTED_STORES": stores(owner="222222222222")}, "PayloadUnavailable"),
    ],
)
def test_a_payload_that_cannot_be_used_fails_the_task(
    context: Path, s3: str, changed: dict[str, str], error: str
) -> None:
    ended = run(context, s3, **changed)
    assert (ended.returncode, ended.stdout) == (1, "")
    said = json.loads(ended.stderr)
    assert (said["error"], said["message_id"]) == (error, "message-1")


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"PAYLOAD_KEY": None}, "PAYLOAD_KEY is not in the environment"),
        ({"TRUSTED_STORES": None}, "TRUSTED_STORES is not in the environment"),
        ({"PAYLOAD_BYTES": "many"}, "the environment describes no payload"),
        ({"TRUSTED_STORES": stores(region="nowhere")}, "the environment describes no payload"),
        ({"TRUSTED_STORES": stores(prefix="other/")}, "the environment describes no payload"),
    ],
)
def test_a_task_that_was_told_nothing_says_so(
    context: Path, s3: str, changed: dict[str, str | None], said: str
) -> None:
    ended = run(context, s3, **changed)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert said in ended.stderr
    assert len(ended.stderr.splitlines()) == 1


def test_what_the_dockerfile_copies_is_in_its_context(context: Path) -> None:
    copied = [line.split() for line in (context / "Dockerfile").read_text().splitlines() if line.startswith("COPY")]
    assert len(copied) == 3
    for _, *sources, _ in copied:
        assert all((context / source).exists() for source in sources), sources
    ignored = _ignored(context / "Dockerfile.dockerignore")
    assert "README.md" in ignored
    assert not list(context.rglob("__pycache__/*.pyc"))


def test_the_image_runs_as_nobody_in_particular() -> None:
    users = [line for line in (OURS / "Dockerfile").read_text().splitlines() if line.startswith("USER ")]
    assert users == ["USER 1000"]


def test_what_it_installs_is_pinned_as_the_project_pins_it() -> None:
    lines = (OURS / "requirements.txt").read_text().splitlines()
    pins = [line.split()[0] for line in lines if "==" in line]
    assert "--require-hashes" in (OURS / "Dockerfile").read_text()
    assert sum("--hash=sha256:" in line for line in lines) >= len(pins) >= 5
    assert not [line for line in lines if "://" in line]
    assert pins[0] in (ROOT / "pyproject.toml").read_text()
    everywhere = (ROOT / "requirements.txt").read_text()
    assert all(f"{pin} " in everywhere for pin in pins)
