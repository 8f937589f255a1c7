"""The compared clients. Each has the methods that it supports, and `sources` of `publish`.

A source is a file's path, bytes in memory, or a stream of unknown length. A payload is received to a file, as a stream,
or as bytes in memory. `batch` is 50 payloads of one size, and `small` is messages without S3.
"""

from __future__ import annotations

import hashlib
import io
import os
import time
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import boto3
from boto3.s3.transfer import TransferConfig
from botocore.config import Config

from bench import pattern
from bench.services import BUCKET, PREFIX, key_of
from claim_check import Dereferencer, Entry, Payload, Pointer, Publisher, Store, offload, s3_client

MIB = 1024 * 1024
OWNER, REGION = "111111111111", "eu-west-1"
TOPIC = f"arn:aws:sns:{REGION}:{OWNER}:bench"
NEW = f"{PREFIX}new"
BATCH, EVENT, SMALL = 50, 10, 200  # payloads, records in an event, messages


class ClaimCheck:
    """This library. It has the SHA-256 of everything that it publishes, and compares that of everything it receives."""

    sources = ("file", "bytes", "stream")

    def __init__(self) -> None:
        self._store = Store(BUCKET, PREFIX, OWNER, REGION)
        self._s3 = s3_client(REGION)
        self._publisher = Publisher(topic_arn=TOPIC, store=self._store, s3=self._s3)
        self._dereferencer = Dereferencer(stores=[self._store], s3=self._s3)
        self._serial = 0

    def publish(self, source: Any) -> None:
        """Publish a payload."""
        self._serial += 1
        offload(source, store=self._store, message_id=f"m{self._serial}", s3=self._s3)

    def publish_batch(self, data: bytes) -> None:
        """Publish a batch."""
        outcomes = list(self._publisher.publish_batch(Entry(payload=data) for _ in range(BATCH)))
        assert not any(outcome.error for outcome in outcomes)

    def publish_small(self, data: bytes) -> None:
        """Publish small messages, one after another."""
        for _ in range(SMALL):
            self._publisher.publish(data)

    def receive_file(self, size: int, path: Path) -> int:
        """Receive a payload to a file."""
        return self._payload(size).download_to(path).size

    def receive_stream(self, size: int) -> int:
        """Receive a payload piece by piece."""
        return sum(len(chunk) for chunk in self._payload(size).iter_chunks())

    def receive_bytes(self, size: int) -> int:
        """Receive a payload into memory."""
        return len(self._payload(size).read(size))

    def receive_batch(self, size: int) -> int:
        """Receive events of ten records."""
        records = [_record(size)] * EVENT
        return sum(
            len(outcome.message.payload.read())
            for _ in range(BATCH // EVENT)
            for outcome in self._dereferencer.outcomes(records, prefetch=True)
            if outcome.message
        )

    def _payload(self, size: int) -> Payload:
        return self._dereferencer.message(_record(size)).payload


def _record(size: int) -> dict[str, Any]:
    claim = f'{{"id":"m-{size}","sha256":"{pattern.sha256(size)}"}}'
    return {
        "messageId": "q-1",
        "body": Pointer(BUCKET, key_of(size)).body(),
        "messageAttributes": {
            "ExtendedPayloadSize": {"dataType": "Number", "stringValue": str(size)},
            "ClaimCheck": {"dataType": "String", "stringValue": claim},
        },
    }


class Digesting:
    """A file that counts bytes, and digests them if `sha256` is true."""

    def __init__(self, *, sha256: bool) -> None:
        self._digest = hashlib.sha256() if sha256 else None
        self.size = 0

    def write(self, data: Any) -> int:
        """Count and digest the bytes."""
        if self._digest:
            self._digest.update(data)
        self.size += len(memoryview(data))
        return len(memoryview(data))

    def checked(self) -> int:
        """Return the number of bytes, after a comparison of the digest."""
        assert not self._digest or self._digest.hexdigest() == pattern.sha256(self.size)
        return self.size


class Peer:
    """Another client. With `sha256` it sends the SHA-256 of what it publishes, and digests what it receives."""

    def __init__(self, *, sha256: bool = False) -> None:
        self._sha256 = sha256
        self._extra = {"ChecksumAlgorithm": "SHA256"} if sha256 else {}

    def _file_size(self, path: Path) -> int:
        """Return the size of a received file, after a comparison of its digest."""
        if self._sha256:
            with path.open("rb") as file:
                assert hashlib.file_digest(file, "sha256").hexdigest() == pattern.sha256(path.stat().st_size)
        return path.stat().st_size

    def receive_stream(self, size: int) -> int:
        """Receive a payload piece by piece."""
        received = Digesting(sha256=self._sha256)
        self._receive(size, received)
        return received.checked()

    def _receive(self, size: int, target: Any) -> None:
        """Write a payload to an open file."""
        raise NotImplementedError


class Boto(Peer):
    """boto3 with one request: PutObject, and GetObject read in pieces. A batch uses ten threads."""

    sources = ("file", "bytes")

    def __init__(self, *, sha256: bool = False) -> None:
        super().__init__(sha256=sha256)
        self._s3: Any = boto3.client("s3")
        self._sns: Any = boto3.client("sns")

    def publish(self, source: Any) -> None:
        """Publish a payload."""
        with source.open("rb") if isinstance(source, Path) else nullcontext(source) as body:
            self._put(NEW, body)

    def publish_batch(self, data: bytes) -> None:
        """Publish a batch: PutObject in ten threads, then PublishBatch."""
        with ThreadPoolExecutor(EVENT) as pool:
            list(pool.map(lambda number: self._put(f"{NEW}-{number}", data), range(BATCH)))
        for start in range(0, BATCH, EVENT):
            entries = [{"Id": str(number), "Message": f"{NEW}-{start + number}"} for number in range(EVENT)]
            self._sns.publish_batch(TopicArn=TOPIC, PublishBatchRequestEntries=entries)

    def publish_small(self, data: bytes) -> None:
        """Publish small messages, one after another."""
        for _ in range(SMALL):
            self._sns.publish(TopicArn=TOPIC, Message=data.decode())

    def receive_file(self, size: int, path: Path) -> int:
        """Receive a payload to a file."""
        with path.open("wb") as file:
            self._receive(size, file)
        return self._file_size(path)

    def receive_bytes(self, size: int) -> int:
        """Receive a payload into memory."""
        data = self._s3.get_object(Bucket=BUCKET, Key=key_of(size))["Body"].read()
        assert not self._sha256 or hashlib.sha256(data).hexdigest() == pattern.sha256(size)
        return len(data)

    def receive_batch(self, size: int) -> int:
        """Receive a batch in ten threads."""
        with ThreadPoolExecutor(EVENT) as pool:
            return sum(pool.map(lambda _: self.receive_bytes(size), range(BATCH)))

    def _put(self, key: str, body: Any) -> None:
        self._s3.put_object(Bucket=BUCKET, Key=key, Body=body, **self._extra)

    def _receive(self, size: int, target: Any) -> None:
        body = self._s3.get_object(Bucket=BUCKET, Key=key_of(size))["Body"]
        while piece := body.read(MIB):
            target.write(piece)


class Transfer(Peer):
    """boto3's s3transfer."""

    sources = ("file", "bytes", "stream")

    def __init__(self, *, sha256: bool = False, **config: Any) -> None:
        super().__init__(sha256=sha256)
        self._config = TransferConfig(preferred_transfer_client="classic", **config)
        pool = max(10, config.get("max_concurrency", 10))
        self._s3: Any = boto3.client("s3", config=Config(max_pool_connections=pool))

    def publish(self, source: Any) -> None:
        """Publish a payload."""
        upload = self._s3.upload_file if isinstance(source, Path) else self._s3.upload_fileobj
        upload(_file(source), BUCKET, NEW, ExtraArgs=self._extra, Config=self._config)

    def receive_file(self, size: int, path: Path) -> int:
        """Receive a payload to a file."""
        self._s3.download_file(BUCKET, key_of(size), str(path), Config=self._config)
        return self._file_size(path)

    def _receive(self, size: int, target: Any) -> None:
        self._s3.download_fileobj(BUCKET, key_of(size), target, Config=self._config)


class Crt(Peer):
    """AWS's Common Runtime, used as boto3[crt] uses it."""

    sources = ("file", "bytes", "stream")

    def __init__(self, *, sha256: bool = False) -> None:
        super().__init__(sha256=sha256)
        crt, session = import_module("s3transfer.crt"), import_module("botocore.session").get_session()
        credentials = crt.BotocoreCRTCredentialsWrapper(session.get_credentials()).to_crt_credentials_provider()
        client = crt.create_s3_crt_client(REGION, credentials, verify=os.environ["AWS_CA_BUNDLE"])
        options = {"endpoint_url": os.environ["AWS_ENDPOINT_URL"], "region_name": REGION}
        self._manager = crt.CRTTransferManager(client, crt.BotocoreCRTRequestSerializer(session, options))

    def publish(self, source: Any) -> None:
        """Publish a payload."""
        self._manager.upload(_file(source), BUCKET, NEW, extra_args=dict(self._extra)).result()

    def receive_file(self, size: int, path: Path) -> int:
        """Receive a payload to a file."""
        path.unlink(missing_ok=True)
        self._receive(size, str(path))
        while not path.exists():  # s3transfer's callback renames the file after the result
            time.sleep(0.001)
        return self._file_size(path)

    def _receive(self, size: int, target: Any) -> None:
        self._manager.download(BUCKET, key_of(size), target).result()


class Obstore(Peer):
    """obstore: its `put`, and its `get_range` for 16 ranges of 4 MiB at a time, which its `get` does not do."""

    sources = ("file", "bytes", "stream")

    def __init__(self, *, sha256: bool = False) -> None:
        super().__init__(sha256=sha256)
        self._obstore = import_module("obstore")
        self._store = import_module("obstore.store").S3Store(
            BUCKET,
            endpoint=os.environ["AWS_ENDPOINT_URL"],
            region=REGION,
            client_options={"allow_invalid_certificates": True},
            **({"checksum_algorithm": "SHA256"} if sha256 else {}),
        )

    def publish(self, source: Any) -> None:
        """Publish a payload."""
        is_stream = not isinstance(source, Path | bytes)
        self._obstore.put(self._store, NEW, iter(lambda: source.read(MIB), b"") if is_stream else source)

    def receive_file(self, size: int, path: Path) -> int:
        """Receive a payload to a file."""
        with path.open("wb") as file, ThreadPoolExecutor(16) as pool:
            write = lambda start: os.pwrite(file.fileno(), self._range(size, start), start)  # noqa: E731
            list(pool.map(write, range(0, size, 4 * MIB)))
        return self._file_size(path)

    def _receive(self, size: int, target: Any) -> None:
        with ThreadPoolExecutor(16) as pool:
            running: deque[Future[Any]] = deque()
            for start in range(0, size, 4 * MIB):
                running.append(pool.submit(self._range, size, start))
                if len(running) == 16:
                    target.write(running.popleft().result())
            while running:
                target.write(running.popleft().result())

    def _range(self, size: int, start: int) -> Any:
        key = key_of(size)
        return self._obstore.get_range(self._store, key, start=start, end=min(size, start + 4 * MIB))


class Extended:
    """AWS's extended clients for SNS and SQS, which support only text in memory."""

    sources = ("bytes",)

    def __init__(self) -> None:
        self._sns = import_module("sns_extended_client").SNSExtendedClientSession().client("sns")
        self._sqs = import_module("sqs_extended_client").SQSExtendedClientSession().client("sqs")
        self._sns.large_payload_support = BUCKET
        self._sns.always_through_s3 = True

    def publish(self, source: bytes) -> None:
        """Publish text."""
        self._sns.publish(TopicArn=TOPIC, Message=source.decode())

    def publish_batch(self, data: bytes) -> None:
        """Publish a batch, one message after another: the client has no PublishBatch."""
        for _ in range(BATCH):
            self.publish(data)

    def receive_bytes(self, size: int) -> int:
        """Receive a payload into memory."""
        return self._receive(size, 1)

    def receive_batch(self, size: int) -> int:
        """Receive ten messages at a time."""
        return sum(self._receive(size, EVENT) for _ in range(BATCH // EVENT))

    def _receive(self, size: int, count: int) -> int:
        queue = f"https://sqs.{REGION}.amazonaws.com/{OWNER}/{size}-{count}"
        messages = self._sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=count)["Messages"]
        return sum(len(message["Body"]) for message in messages)


def _file(source: Any) -> Any:
    """Return the source as s3transfer accepts it: a file's name, or an open file."""
    if isinstance(source, Path):
        return str(source)
    return io.BytesIO(source) if isinstance(source, bytes) else source


TUNED: dict[str, Any] = {
    "max_concurrency": 20,
    "multipart_chunksize": 16 * MIB,
    "multipart_threshold": 16 * MIB,
    "max_io_queue": 1000,
    "io_chunksize": MIB,
}
CLIENTS: dict[str, partial[Any]] = {
    "claim_check": partial(ClaimCheck),
    "boto3": partial(Boto),
    "s3transfer": partial(Transfer),
    "s3transfer, tuned": partial(Transfer, **TUNED),
    "CRT": partial(Crt),
    "obstore": partial(Obstore),
    "AWS extended clients": partial(Extended),
    "boto3, SHA-256": partial(Boto, sha256=True),
    "s3transfer, SHA-256": partial(Transfer, sha256=True),
    "s3transfer, tuned, SHA-256": partial(Transfer, sha256=True, **TUNED),
    "CRT, SHA-256": partial(Crt, sha256=True),
    "obstore, SHA-256": partial(Obstore, sha256=True),
}
SEPARATE = ("CRT", "obstore")  # their packages are not in requirements.txt


def supports(client: str, way: str) -> bool:
    """Return whether a client supports a way, such as `receive_file`."""
    direction, kind = way.split("_")
    made: Any = CLIENTS[client].func
    return hasattr(made, way) or (direction == "publish" and kind in made.sources)
