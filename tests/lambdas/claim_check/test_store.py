"""Stores, replicas and objects: their settings."""

from __future__ import annotations

import pytest

from claim_check import InvalidMessage, Pointer, Replica, S3Object, Store
from claim_check.wire.text import is_publishable
from tests.lambdas.claim_check.fake_s3 import OWNER


def test_store_settings_are_validated() -> None:
    settings = {"bucket": "payloads-one", "prefix": "payloads/", "owner": OWNER, "region": "eu-west-1"}
    assert Store.from_dict(settings) == Store("payloads-one", "payloads/", OWNER, "eu-west-1")
    assert Store.from_dict(settings).to_dict() == settings
    stored = Store.from_dict(settings).object_of("m-1")
    assert stored == S3Object("payloads-one", "payloads/m-1", OWNER, "eu-west-1")
    assert stored.pointer == Pointer("payloads-one", "payloads/m-1")
    place = {"bucket": "payloads-one", "key": "payloads/m-1", "owner": OWNER, "region": "eu-west-1"}
    assert stored.to_dict() == place
    assert stored._replace(version_id="v-1").to_dict() == {**place, "version_id": "v-1"}
    for name, bad in {"bucket": "B", "prefix": "payloads", "owner": "1111", "region": "here"}.items():
        with pytest.raises(ValueError, match=rf"store {name} = '{bad}'"):
            Store.from_dict(settings | {name: bad})
    with pytest.raises(ValueError, match=r"^store {.*}: missing \['owner'\], unknown \['account'\]$"):
        Store.from_dict({"account" if name == "owner" else name: value for name, value in settings.items()})
    with pytest.raises(ValueError, match="store owner = 111111111111"):
        Store.from_dict(settings | {"owner": 111111111111})


DETOURS = ["./", "../", "a/../b/", "a/./b/", "a/.."]
CHARACTERS = ["/a/", "/", "a", "a\x7f/", "a\n/", "a\u2028/", "a\ufffe/", "a\ud800/"]
LONG = ["é" * 480 + "/", "a" * 960 + "/"]


@pytest.mark.parametrize("prefix", [*DETOURS, *CHARACTERS, *LONG], ids=lambda prefix: ascii(prefix[:8]))
def test_prefix_without_readers_is_rejected(prefix: str) -> None:
    with pytest.raises(ValueError, match=r"store prefix = .*: must be empty, or a key prefix that ends in '/'"):
        Store("payloads-one", prefix, OWNER, "eu-west-1")


@pytest.mark.parametrize("prefix", ["", "a/", "..a/", "a../", "a//b/", "é" * 479 + "a/", "a" * 959 + "/", "ü 日本/"])
def test_every_valid_prefix_has_readers(prefix: str) -> None:
    """A message's key is accepted by the form of pointers, by the store and by SNS."""
    store = Store("payloads-one", prefix, OWNER, "eu-west-1")
    pointer = store.object_of("m" * 64).pointer
    assert store.locate(Pointer.parse(pointer.body()))
    assert is_publishable(pointer.body())


@pytest.mark.parametrize("message_id", ["", ".", "..", "../m", "a/./b", "m" * 1016])
def test_key_without_readers_is_rejected(message_id: str, store: Store) -> None:
    with pytest.raises(InvalidMessage, match="no reader accepts its key"):
        store.object_of(message_id)
    assert store.object_of("m" * 1015).key == "payloads/" + "m" * 1015


@pytest.mark.parametrize("bucket", ["ab", "a" * 64, "-ab", "ab-", "a..b", "192.168.0.1", "a_b", "a/b"])
def test_invalid_bucket_is_rejected(bucket: str) -> None:
    with pytest.raises(ValueError, match="store bucket"):
        Store(bucket, "payloads/", OWNER, "eu-west-1")


def test_replica_settings_are_validated(store: Store) -> None:
    settings = store.to_dict() | {"replicas": [{"bucket": "replica-near", "region": "us-west-2"}]}
    near = Store.from_dict(settings)
    assert near.replicas == (Replica("replica-near", "us-west-2"),)
    assert near.to_dict() == settings
    for replica, problem in (
        ({"bucket": "replica-near"}, r"^replica {.*}: missing \['region'\], unknown \[\]$"),
        ({"bucket": "replica-near", "region": "us-west-2", "owner": OWNER}, r"unknown \['owner'\]"),
        ({"bucket": "Replica", "region": "us-west-2"}, "replica bucket = 'Replica': must be a bucket's name"),
    ):
        with pytest.raises(ValueError, match=problem):
            Store.from_dict({**settings, "replicas": [replica]})
