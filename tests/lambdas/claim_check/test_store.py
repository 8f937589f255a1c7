"""Stores, replicas and objects: their settings."""

from __future__ import annotations

import pytest

from claim_check import Pointer, Replica, S3Object, Store
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
