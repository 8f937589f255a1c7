"""The content of the accounts between two runs, and the folder that keeps it."""

import tempfile
from pathlib import Path
from typing import Any

import pytest

from local import kept_state
from local.accounts import Accounts
from local.emulator import Emulator, EmulatorError
from local.kept_state import KeptState, StateError
from tests.local.support import FAR, PUBLISHER, SUBSCRIBER, Account

LARGE = b"x" * (6 << 20)
_COUNT = "import boto3\n\ndef handler(event, context):\n    return len(event)\n"


def _accounts(emulator: Emulator) -> tuple[Account, Account]:
    accounts = Accounts(emulator)
    return Account(accounts, PUBLISHER), Account(accounts, SUBSCRIBER, FAR)


@pytest.mark.exhaustive
@pytest.mark.system
def test_next_run_has_the_content_and_the_port(tmp_path: Path) -> None:
    with Emulator(state=KeptState(tmp_path / "state")) as emulator:
        port = emulator.port
        publisher, subscriber = _accounts(emulator)
        bucket, queue, function = publisher.bucket(), subscriber.queue(), subscriber.function(_COUNT)
        s3 = publisher.client("s3")
        s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
        for body in (LARGE, b"small"):
            s3.put_object(Bucket=bucket, Key="key", Body=body)
        name = queue.rsplit(":", 1)[1]
        url = subscriber.client("sqs").get_queue_url(QueueName=name)["QueueUrl"]
        subscriber.client("sqs").send_message(QueueUrl=url, MessageBody="message")

    with Emulator(state=KeptState(tmp_path / "state")) as emulator:
        assert emulator.port == port
        publisher, subscriber = _accounts(emulator)
        s3 = publisher.client("s3")
        versions = s3.list_object_versions(Bucket=bucket)["Versions"]
        bodies = [
            s3.get_object(Bucket=bucket, Key="key", VersionId=each["VersionId"])["Body"].read() for each in versions
        ]
        assert bodies == [b"small", LARGE]
        (message,) = subscriber.client("sqs").receive_message(QueueUrl=url)["Messages"]
        assert message["Body"] == "message"
        assert subscriber.invoke(function, [1, 2, 3]) == 3


@pytest.mark.system
def test_state_of_another_version_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    folder.mkdir(mode=0o700)
    (folder / "content").write_bytes(b"coatcheck 0.0.1, ministack 1.0.0, format 1\nonly that version can read this")
    with pytest.raises(EmulatorError, match="another version of coatcheck or of its emulator"):
        Emulator(state=KeptState(folder)).start()


@pytest.mark.parametrize(("moment", "expected"), [("before", b"one"), ("after", b"other")])
def test_interrupted_save_leaves_one_whole_state(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str, expected: bytes
) -> None:
    """Content and bodies are of the same save, whenever the process is killed."""
    from ministack import app
    from ministack.services import s3

    from local.patches.s3_large_objects import Body

    def save(body: bytes) -> None:
        with tempfile.TemporaryFile() as file:
            file.write(body)
            objects: Any = {"key": Body.from_file(file)}
        monkeypatch.setattr(s3._buckets, "_data", objects)
        kept_state.save(tmp_path)

    replace = Path.replace

    def die(path: Path, target: Path) -> None:
        if moment == "after":
            replace(path, target)
        raise KeyboardInterrupt

    monkeypatch.setattr(app, "_build_persistence_save_dict", dict)
    save(b"one")
    monkeypatch.setattr(Path, "replace", die)
    with pytest.raises(KeyboardInterrupt):
        save(b"other")
    monkeypatch.setattr(Path, "replace", replace)
    monkeypatch.setattr(s3._buckets, "_data", {})
    kept_state.load(tmp_path)
    assert s3._buckets._data["key"][:] == expected
    save(b"next")
    assert len(list(tmp_path.glob("bodies*"))) == 1


def test_folder_is_private(tmp_path: Path) -> None:
    state = KeptState(tmp_path / "state")
    state.open()
    assert state.folder.stat().st_mode & 0o777 == 0o700
    state.close()


def test_open_folder_is_refused(tmp_path: Path) -> None:
    """It would contain payloads."""
    tmp_path.chmod(0o755)
    with pytest.raises(StateError, match="other users can enter it"):
        KeptState(tmp_path).open()


def test_folder_has_one_run_at_a_time(tmp_path: Path) -> None:
    first, second = KeptState(tmp_path / "state"), KeptState(tmp_path / "state")
    first.open()
    with pytest.raises(StateError, match="another run uses it"):
        second.open()
    first.close()
    second.open()
    second.close()
