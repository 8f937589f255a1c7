"""Upload of a job's input to S3 and download of its results. Plain boto3."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any


def is_s3(data: str) -> bool:
    """Return whether `data` is an s3:// address."""
    return data.startswith("s3://")


def split(uri: str) -> tuple[str, str]:
    """Return bucket and prefix of `s3://bucket/prefix/`."""
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    return bucket, key.strip("/")


class NoSuchData(Exception):
    """There is no object at an address. The message has the keys that begin like it."""


def locate(s3: Any, uri: str) -> tuple[str, bool]:
    """Return the address of an object, or of a folder with its slash, and whether nothing else begins so.

    SageMaker reads all objects whose key begins with the address: `donor1` would also bring `donor10`.

    Raises:
        NoSuchData: There is neither an object nor a folder.
    """
    bucket, key = split(uri)
    folder = f"{key}/" if key else ""
    keys = [item["Key"] for item in s3.list_objects_v2(Bucket=bucket, Prefix=key).get("Contents", [])]
    if key in keys and not uri.endswith("/"):
        return uri, len(keys) == 1
    if s3.list_objects_v2(Bucket=bucket, Prefix=folder, MaxKeys=1).get("Contents"):
        return f"s3://{bucket}/{folder}", True
    others = ", ".join(keys[:5]) or "none"
    raise NoSuchData(f"{uri}: there is no such object or folder. Keys that begin so: {others}.")


def entries(s3: Any, folder: str) -> list[str]:
    """Return the addresses, or local paths, of the entries of a folder.

    Raises:
        NoSuchData: There is nothing in it.
    """
    if is_s3(folder):
        bucket, key = split(folder)
        prefix = f"{key}/" if key else ""
        pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix, Delimiter="/")
        keys = [each for page in pages for part in ("CommonPrefixes", "Contents") for each in page.get(part, [])]
        found = [f"s3://{bucket}/{each.get('Prefix') or each['Key']}" for each in keys if each.get("Key") != prefix]
    else:
        found = [str(path) for path in Path(folder).iterdir()] if Path(folder).is_dir() else []
    found = sorted(each for each in found if not each.rstrip("/").rpartition("/")[2].startswith("."))
    if not found:
        raise NoSuchData(f"{folder}: there is no such folder, or nothing in it.")
    return found


def copy(s3: Any, source: str, target: str, *, key: str) -> None:
    """Copy an object, with its name, below the s3:// address `target`, encrypted with the KMS key `key`. S3 copies."""
    (from_bucket, from_key), (bucket, prefix) = split(source), split(target)
    place = f"{prefix}/{from_key.rpartition('/')[2]}"
    s3.copy({"Bucket": from_bucket, "Key": from_key}, bucket, place, ExtraArgs=_encryption(key))


def _encryption(key: str) -> dict[str, str]:
    return {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": key}


def upload(s3: Any, source: Path, target: str, *, key: str, report: Callable[[str], None]) -> None:
    """Upload a file or a folder, with its name, below the s3:// address `target`, encrypted with the KMS key `key`.

    `report` gets a line of text after each tenth of the bytes.
    """
    files = [source] if source.is_file() else sorted(path for path in source.rglob("*") if path.is_file())
    bucket, prefix = split(target)
    progress = _Progress(sum(file.stat().st_size for file in files), f"Uploading {source.name}", report)
    for file in files:
        name = file.relative_to(source.parent).as_posix()
        s3.upload_file(str(file), bucket, f"{prefix}/{name}", ExtraArgs=_encryption(key), Callback=progress)


def fetch(s3: Any, job: dict[str, Any], target: Path) -> list[Path]:
    """Download the results of a job, which SageMaker describes as `job`, into the folder `target`. Return the files."""
    files = []
    for output in job["ProcessingOutputConfig"]["Outputs"]:
        bucket, prefix = split(output["S3Output"]["S3Uri"])
        for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=f"{prefix}/"):
            for item in page.get("Contents", []):
                file = (target / item["Key"].removeprefix(f"{prefix}/")).resolve()
                if item["Key"].endswith("/") or not file.is_relative_to(target.resolve()):
                    continue  # a folder's marker, or a key that leads out of the target
                file.parent.mkdir(parents=True, exist_ok=True)
                s3.download_file(bucket, item["Key"], str(file))
                files.append(file)
    return files


class _Progress:
    """A callback for boto3, whose threads call it with the number of bytes sent since the last call."""

    def __init__(self, total: int, label: str, report: Callable[[str], None]) -> None:
        self._total, self._label, self._report = total, label, report
        self._done = self._tenth = 0
        self._lock = threading.Lock()

    def __call__(self, count: int) -> None:
        with self._lock:
            self._done += count
            tenth = 10 * self._done // max(self._total, 1)
            if tenth > self._tenth:
                self._tenth = tenth
                self._report(f"{self._label}: {_size(self._done)} of {_size(self._total)}")


def _size(count: float) -> str:
    for unit in ("B", "KiB", "MiB"):
        if count < 1024:
            return f"{count:.0f} {unit}"
        count /= 1024
    return f"{count:.1f} GiB"
