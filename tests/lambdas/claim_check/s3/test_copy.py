"""Copies that S3 makes: in one request or in parts, overwriting or not, and what goes along."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from claim_check import Attribute, Dereferencer, InvalidMessage, Publisher, S3Object, Store, s3_client
from claim_check.s3 import copy as copying_module
from claim_check.s3.copy import Copied, copy_object
from tests.lambdas.claim_check.conftest import TOPIC
from tests.lambdas.claim_check.deliveries import DELIVERIES, NotedSns
from tests.lambdas.claim_check.fake_s3 import OWNER, FakeS3, Zeros

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client

GIB = 2**30
SOURCE = S3Object("uploads-one", "a", OWNER, "eu-west-1")
TARGET = S3Object("payloads-one", "b", OWNER, "eu-west-1")


@pytest.mark.parametrize(("size", "parts"), [(3, 0), (5 * GIB, 0), (5 * GIB + 1, 11)])
def test_up_to_5_gib_in_one_request(size: int, parts: int, s3: S3Client, fake_s3: FakeS3) -> None:
    fake_s3.put("uploads-one", "a", Zeros(size))
    if 3 < size <= 5 * GIB:  # the server's digest of so much would take long, and no client sees it
        fake_s3.objects["uploads-one", "a"].data = Zeros(3)
    copied = copy_object(s3, source=SOURCE, target=TARGET, size=size)
    assert copied.size == size
    numbers = [request.partition("partNumber=")[2].partition("&")[0] for request in fake_s3.asked("PUT")]
    assert sorted(int(number) for number in numbers if number) == list(range(1, parts + 1))
    assert len(fake_s3.asked("PUT")) == max(parts, 1)


def test_parts_grow_so_that_10000_are_enough(s3: S3Client, fake_s3: FakeS3, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copying_module, "MAXIMUM_PARTS", 4)
    fake_s3.put("uploads-one", "a", Zeros(6 * GIB + 1))
    copy_object(s3, source=SOURCE, target=TARGET, size=6 * GIB + 1)
    assert len(fake_s3.asked("PUT")) == 4
    assert len(fake_s3.objects["payloads-one", "b"].data) == 6 * GIB + 1


@pytest.mark.parametrize("size", [3, 6 * GIB])
@pytest.mark.parametrize("only_if_new", [True, False])
def test_a_copy_overwrites_unless_told_not_to(size: int, only_if_new: bool, s3: S3Client, fake_s3: FakeS3) -> None:
    fake_s3.put("uploads-one", "a", Zeros(size))
    fake_s3.put("payloads-one", "b", b"already there")
    if not only_if_new:
        copy_object(s3, source=SOURCE, target=TARGET, size=size)
        assert len(fake_s3.objects["payloads-one", "b"].data) == size
        return
    with pytest.raises(ClientError, match="PreconditionFailed"):
        copy_object(s3, source=SOURCE, target=TARGET, size=size, only_if_new=True)
    assert fake_s3.objects["payloads-one", "b"].data == b"already there"
    assert fake_s3.uploads == {}


def test_what_goes_along(s3: S3Client, fake_s3: FakeS3) -> None:
    fake_s3.put("uploads-one", "a", b"abc")
    copied = copy_object(s3, source=SOURCE, target=TARGET, size=3, metadata={"name": "value"})
    headers = fake_s3.headers[0]
    assert isinstance(copied, Copied)
    assert headers["x-amz-copy-source"] == "uploads-one/a"
    assert headers["x-amz-metadata-directive"] == "REPLACE"
    assert headers["x-amz-meta-name"] == "value"
    assert headers["x-amz-tagging-directive"] == "REPLACE"
    assert headers.get("x-amz-annotation-directive", "EXCLUDE") == "EXCLUDE"
    copy_object(s3, source=SOURCE, target=TARGET, size=3)
    assert "x-amz-metadata-directive" not in fake_s3.headers[1]


def test_an_earlier_copy_is_looked_for_in_the_owners_bucket(publisher: Publisher, fake_s3: FakeS3) -> None:
    fake_s3.put("uploads-one", "a", b"abc")
    for _ in range(2):
        published = publisher.publish_object(S3Object("uploads-one", "a", OWNER, "eu-west-1"), size=3, message_id="u-1")
    assert published.size == 3
    looked = fake_s3.headers[fake_s3.requests.index("HEAD /payloads-one/payloads/u-1")]
    assert looked["x-amz-expected-bucket-owner"] == OWNER


def test_an_object_is_published_with_all_that_a_payload_is(s3: S3Client, store: Store, fake_s3: FakeS3) -> None:
    sns = NotedSns()
    publisher = Publisher(topic_arn=f"{TOPIC}.fifo", store=store, sns=sns.client(), s3=s3)
    fake_s3.put("uploads-one", "a", b"abc")
    publisher.publish_object(
        S3Object("uploads-one", "a", OWNER, "eu-west-1"),
        size=3,
        message_id="u-1",
        attributes={"kind": "scan"},
        subject="a scan",
        group_id="g",
        deduplication_id="d",
    )
    (published,) = sns.published
    assert (published["Subject"], published["MessageGroupId"], published["MessageDeduplicationId"]) == (
        "a scan",
        "g",
        "d",
    )
    assert published["MessageAttributes"]["kind"] == {"DataType": "String", "StringValue": "scan"}
    assert "crc64nvme" not in published["MessageAttributes"]["ClaimCheck"]["StringValue"]


def test_copy_makes_a_client_of_the_targets_region(
    publisher: Publisher, sns: NotedSns, dereferencer: Dereferencer, s3: S3Client, fake_s3: FakeS3, monkeypatch: Any
) -> None:
    made: list[str] = []

    def make(region: str) -> S3Client:
        made.append(region)
        return s3

    publisher.publish(b"\x00", message_id="m-1")
    payload = dereferencer.message(DELIVERIES["SNS event"](sns.published[0])).payload
    monkeypatch.setattr("claim_check.receiving.payload.s3_client", make)
    payload.copy_to(S3Object("landed-one", "x", OWNER, "eu-west-1"))
    assert made == ["eu-west-1"]
    assert fake_s3.objects["landed-one", "x"].data == b"\x00"


def test_the_client_made_here_digests_once_and_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    config: Any = s3_client("eu-west-1").meta.config
    assert config.region_name == "eu-west-1"
    assert config.retries["mode"] == "standard"
    assert config.retries["total_max_attempts"] == 5
    assert config.response_checksum_validation == "when_required"
    assert config.s3["payload_signing_enabled"] is False


# The edges of what an attribute may be.


@pytest.mark.parametrize("number", [10**126, -(10**128), 9e125, -9e127, 0, -0.5])
def test_the_largest_numbers_sns_holds(number: float, publisher: Publisher, sns: NotedSns) -> None:
    publisher.publish("x", attributes={"a": number})
    assert sns.published[0]["MessageAttributes"]["a"] == {"DataType": "Number", "StringValue": str(number)}


@pytest.mark.parametrize("number", [10**126 + 1, -(10**128) - 1])
def test_larger_numbers_are_refused(number: int, publisher: Publisher) -> None:
    with pytest.raises(InvalidMessage, match="a number in SNS's range"):
        publisher.publish("x", attributes={"a": number})


def test_the_longest_data_type(publisher: Publisher) -> None:
    publisher.publish("x", attributes={"a": Attribute("String." + "x" * 249, "v")})
    with pytest.raises(InvalidMessage, match="data type"):
        publisher.publish("x", attributes={"a": Attribute("String." + "x" * 250, "v")})


def test_a_file_is_read_in_pieces(publisher: Publisher) -> None:
    asked: list[int] = []

    class File:
        def read(self, size: int) -> bytes:
            asked.append(size)
            return b"x" * 1000 if len(asked) < 3 else b""

    assert publisher.publish(File()).size == 2000
    assert asked == [5 * 2**20] * 3
