"""Fuzzing: hostile input raises only the library's errors, and causes no call outside a trusted store.

    python -m tests.lambdas.claim_check.fuzz [COUNT]             hypothesis (default: 100,000 inputs)
    python -m tests.lambdas.claim_check.fuzz --atheris [COUNT]   guided by coverage; install atheris first

pytest runs some hundred of the first kind (test_fuzz.py).
"""

from __future__ import annotations

import base64
import json
import sys
from collections import Counter
from datetime import UTC, datetime
from importlib import import_module
from typing import Any, NoReturn, cast

from botocore.exceptions import ClientError
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from claim_check import ClaimCheckError, Dereferencer, Pointer, Store
from claim_check.https.endpoint import Endpoint
from claim_check.wire.pointer import MARKERS

STORE = Store("payloads-one", "payloads/", "111111111111", "eu-west-1")
TOPIC = "arn:aws:sns:eu-west-1:111111111111:events"


class Watched:
    """An S3 client that counts requests, and fails for an object outside the store."""

    def __init__(self) -> None:
        self.requests = 0

    def get_object(self, **request: Any) -> NoReturn:
        self._check(request)
        self.requests += 1
        raise ClientError({"Error": {"Code": "NoSuchKey", "Message": "none"}}, "GetObject")

    def head_object(self, **request: Any) -> dict[str, Any]:
        self._check(request)
        return {"ContentLength": 3, "ChecksumCRC32": "AAAAAA==", "ETag": "e"}

    def _check(self, request: dict[str, Any]) -> None:
        assert request["Bucket"] == STORE.bucket
        assert request["ExpectedBucketOwner"] == STORE.owner
        key = request["Key"]
        assert key.startswith(STORE.prefix)
        assert key != STORE.prefix
        assert len(key.encode()) <= 1024
        assert not {".", ".."}.intersection(key.split("/"))


def unreachable(url: str) -> NoReturn:
    """Fail. An endpoint without signed messages fetches only SNS's certificate."""
    assert url.startswith("https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-")
    raise OSError(url)


class Checker:
    """Passes inputs to the entry points, and counts the results."""

    def __init__(self) -> None:
        self.s3 = Watched()
        self.results: Counter[str] = Counter()
        self._dereferencer = Dereferencer(stores=[STORE], s3=cast("Any", self.s3))
        self._endpoint = Endpoint(
            topics=[TOPIC],
            dereferencer=self._dereferencer,
            fetch=unreachable,
            now=lambda: datetime(2026, 3, 1, tzinfo=UTC),
        )

    def record(self, record: Any) -> None:
        """Dereference and read a record."""
        (outcome,) = self._dereferencer.outcomes([record])
        if outcome.error:
            self._check(outcome.error)
        elif outcome.message:
            self._read(outcome.message.payload)

    def posted(self, body: bytes) -> None:
        """Post a body to the HTTPS endpoint."""
        try:
            self._endpoint.receive(body)
        except ClaimCheckError as error:
            self._check(error)

    def _read(self, payload: Any) -> None:
        for use, result in ((payload.verify, "verified"), (payload.json, "read")):
            try:
                use()
            except ClaimCheckError as error:
                self._check(error)
            else:
                self.results[result] += 1

    def _check(self, error: ClaimCheckError) -> None:
        text = str(error)
        assert len(text) < 3_000
        assert "\n" not in text
        json.dumps(error.record())
        self.results[type(error).__name__] += 1


# Inputs: from any JSON to records with one mistake.


def _json(leaves: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    nested = st.lists(leaves, max_size=3) | st.dictionaries(st.text(max_size=5), leaves, max_size=3)
    return leaves | nested | st.lists(nested, max_size=2)


def _mostly(right: st.SearchStrategy[Any], wrong: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.booleans().flatmap(lambda is_right: right if is_right else wrong)


plain = _json(st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8))
anything = plain | st.binary(max_size=8)
keys = st.one_of(
    st.text(max_size=10),
    st.sampled_from(
        ["payloads/k", "payloads/", "payloads", "payloads/../x", "payloads/./x", "/payloads/k", "payloads//k", "..", ""]
    ),
    st.builds("payloads/{}".format, st.text(max_size=8)),
    st.integers(1000, 1030).map(lambda length: "payloads/" + "k" * length),
)
buckets = st.sampled_from(["payloads-one", "payloads-two", "payloads-one.evil", "", "b" * 300]) | st.text(max_size=70)
classes = st.sampled_from(
    [
        "software.amazon.payloadoffloading.PayloadS3Pointer",
        "com.amazon.sqs.javamessaging.MessageS3Pointer",
        "java.lang.Runtime",
    ]
)
pointers = st.one_of(
    st.builds(Pointer, buckets, keys).map(Pointer.body),
    st.tuples(
        classes, st.fixed_dictionaries({"s3BucketName": buckets | plain, "s3Key": keys | plain}, optional={"x": plain})
    ).map(json.dumps),
)
envelopes = st.fixed_dictionaries(
    {
        "Type": st.just("Notification"),
        "TopicArn": st.just(TOPIC),
        "MessageId": st.text(max_size=10),
        "Message": pointers,
    },
    optional={"MessageAttributes": plain, "Subject": plain},
).map(json.dumps)
bodies = st.one_of(pointers, envelopes, st.text(max_size=12), plain.map(json.dumps), st.just("[" * 30_000))
sizes = st.sampled_from(["3", "0", "-1", "", "1e3", "9" * 18, "9" * 19, "٣"]) | st.text(max_size=8)
claims = st.one_of(
    st.sampled_from(
        [
            '{"id":"m"}',
            '{"id":"m","crc32":"AAAAAA=="}',
            '{"id":"m","crc32":"AAAAAQ=="}',
            '{"id":"m","encoding":"gzip","expanded":7}',
        ]
    ),
    st.fixed_dictionaries(
        {}, optional={"id": plain, "sha256": plain, "crc64nvme": plain, "crc32": plain, "expanded": plain}
    ).map(json.dumps),
    st.text(max_size=10),
    st.just("[" * 50_000),
)
values = st.one_of(sizes, claims)


def attributes(kind: str, text: str, data: str) -> st.SearchStrategy[Any]:
    """Return attributes in one of the three forms."""
    member = st.fixed_dictionaries(
        {kind: st.sampled_from(["Number", "String", "Binary", "String.Array"]) | plain},
        optional={text: values | anything, data: st.binary(max_size=9) | st.text(max_size=9) | anything},
    )
    names = st.sampled_from(
        ["ExtendedPayloadSize", "SQSLargePayloadSize", "CompressedPayloadSize", "ClaimCheck", "kind"]
    )
    return st.dictionaries(names | st.text(max_size=5), member | anything, max_size=4) | anything


ids = st.just("m-1") | st.text(max_size=8) | plain
api = st.fixed_dictionaries(
    {"Body": bodies | anything},
    optional={"MessageId": ids, "MessageAttributes": attributes("DataType", "StringValue", "BinaryValue")},
)
queued = st.fixed_dictionaries(
    {"body": bodies | anything},
    optional={"messageId": ids, "messageAttributes": attributes("dataType", "stringValue", "binaryValue")},
)
notified = st.fixed_dictionaries(
    {"Message": bodies | anything},
    optional={
        "MessageId": ids,
        "TopicArn": plain,
        "Subject": plain,
        "MessageAttributes": attributes("Type", "Value", "Value"),
    },
)
marked = st.builds(
    lambda marker, body, size, claim: {
        "messageId": "m-1",
        "body": body,
        "messageAttributes": {
            marker: {"dataType": "Number", "stringValue": size},
            **({"ClaimCheck": {"dataType": "String", "stringValue": claim}} if claim else {}),
        },
    },
    st.sampled_from(MARKERS),
    _mostly(st.just(Pointer("payloads-one", "payloads/k").body()), pointers),
    _mostly(st.just("3"), sizes),
    _mostly(st.none(), claims),
)
wide = st.one_of(api, queued, notified, notified.map(lambda sns: {"Sns": sns}), anything)
# Half of the records have one mistake: hypothesis gives each alternative the same weight.
records = st.booleans().flatmap(lambda near: marked if near else wide)
posts = st.one_of(
    st.binary(max_size=60),
    plain.map(lambda value: json.dumps(value).encode()),
    st.fixed_dictionaries(
        {
            "Type": st.sampled_from(["Notification", "SubscriptionConfirmation", "UnsubscribeConfirmation"]) | plain,
            "TopicArn": st.just(TOPIC) | plain,
            "MessageId": ids,
            "Message": bodies | plain,
            "Timestamp": st.sampled_from(["2026-03-01T00:00:00.000Z", "2026-03-01T00:00:00Z"]) | plain,
            "SigningCertURL": st.sampled_from(
                ["https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-0a.pem", "https://evil.example/x.pem"]
            )
            | plain,
            "Signature": st.just(base64.b64encode(b"x" * 256).decode()) | plain,
            "SignatureVersion": st.sampled_from(["1", "2", "3"]) | plain,
        },
        optional={"Subject": plain, "Token": plain, "SubscribeURL": plain, "MessageAttributes": plain},
    ).map(lambda value: json.dumps(value).encode()),
)
entry_points: dict[str, st.SearchStrategy[Any]] = {"record": records, "posted": posts}
inputs = st.sampled_from(["record", "record", "record", "posted"]).flatmap(
    lambda name: st.tuples(st.just(name), entry_points[name])
)


def run(count: int, *, derandomize: bool = False) -> Checker:
    """Try `count` inputs, most of them records. Raises the error of the first failure, after shrinking it."""
    checker = Checker()

    @settings(
        max_examples=count,
        deadline=None,
        database=None,
        derandomize=derandomize,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    @given(inputs)
    def try_input(input_: tuple[str, Any]) -> None:
        entry_point, value = input_
        getattr(checker, entry_point)(value)

    try_input()
    return checker


def run_guided(count: int) -> None:
    """Run the same checks on bytes that atheris generates, guided by coverage."""
    atheris: Any = import_module("atheris")
    checker = Checker()

    def try_input(data: bytes) -> None:
        provider = atheris.FuzzedDataProvider(data)
        way = provider.ConsumeIntInRange(0, 3)
        if way == 0:
            checker.posted(data)
        elif way == 1:
            try:
                checker.record(json.loads(data[1:]))
            except (ValueError, RecursionError):
                return
        else:
            body, size, claim = (provider.ConsumeUnicode(60) for _ in range(3))
            if provider.ConsumeBool():  # valid JSON of a pointer
                name = provider.PickValueInList(["software.amazon.payloadoffloading.PayloadS3Pointer", body])
                bucket = provider.PickValueInList(["payloads-one", body])
                body = json.dumps([name, {"s3BucketName": bucket, "s3Key": "payloads/" + provider.ConsumeUnicode(60)}])
            if provider.ConsumeBool():
                size = str(provider.ConsumeInt(8))
            if provider.ConsumeBool():
                checksum = provider.PickValueInList(["0" * 64, "AAAAAA==", claim, None])
                claim = json.dumps({"id": claim, "sha256": checksum, "crc64nvme": checksum, "crc32": checksum})
            names = ("body", "messageId", "messageAttributes", "dataType", "stringValue")
            if way == 2:
                names = ("Body", "MessageId", "MessageAttributes", "DataType", "StringValue")
            attributes_ = {
                "ExtendedPayloadSize": {names[3]: "Number", names[4]: size},
                "ClaimCheck": {names[3]: "String", names[4]: claim},
            }
            checker.record({names[0]: body, names[1]: "m-1", names[2]: attributes_})

    atheris.instrument_all()
    atheris.Setup([sys.argv[0], f"-runs={count}", "-max_len=2000"], try_input)
    atheris.Fuzz()


def main(arguments: list[str]) -> None:
    count = int(next((argument for argument in arguments if argument.isdigit()), "100000"))
    if "--atheris" in arguments:
        run_guided(count)
        return
    checker = run(count)
    outcomes = ", ".join(f"{number} {name}" for name, number in checker.results.most_common())
    print(f"{count} inputs: {outcomes}; {checker.s3.requests} reads, all in the trusted store")


if __name__ == "__main__":
    main(sys.argv[1:])
