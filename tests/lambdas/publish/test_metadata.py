"""The metadata of an upload as message attributes."""

import json
from typing import Any

import pytest

from claim_check import UploadedObject
from publish.metadata import ORIGIN_ATTRIBUTES, attributes_of
from stacks.deployment.publisher import RESERVED_METADATA


def attributes(metadata: dict[str, str], *chosen: str, **headers: str) -> dict[str, Any]:
    """Return the attributes. The value of `metadata` is parsed."""
    found: dict[str, Any] = attributes_of(UploadedObject(metadata, **headers), chosen=chosen)
    return found | ({"metadata": json.loads(found["metadata"])} if "metadata" in found else {})


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("X-T5", "X-T5"),
        ("a=?b", "a=?b"),
        ("=?UTF-8?B?R3LDvMOfZSDwn6el?=", "Grüße 🧥"),
        ("=?UTF-8?Q?Gr=C3=BC=C3=9Fe?= =?UTF-8?Q?_aus?=", "Grüße aus"),
        ("=?no-such-set?B?AAAA?=", "=?no-such-set?B?AAAA?="),
    ],
)
def test_metadata_are_decoded(value: str, text: str) -> None:
    assert attributes({"name": value}) == {"name": text}


def test_up_to_four_entries_are_attributes() -> None:
    four = {f"m{n}": "x" for n in range(4)}
    assert attributes(four) == four
    assert attributes(four | {"m4": "x"}) == {"metadata": four | {"m4": "x"}}
    three = {"m0": "x", "content-type": "text/csv", "content-encoding": "gzip"}
    assert attributes({"m0": "x"}, content_type="text/csv", content_encoding="gzip") == three


def test_chosen_entries_are_attributes_alone() -> None:
    metadata = {"kind": "scan", "uid": "1", "gid": "2"}
    assert attributes(metadata, "kind", "patient") == {"kind": "scan", "metadata": {"uid": "1", "gid": "2"}}
    assert attributes({"kind": "scan"}, "kind") == {"kind": "scan"}


@pytest.mark.parametrize("content_type", ["", "binary/octet-stream", "application/octet-stream"])
def test_default_content_type_is_no_attribute(content_type: str) -> None:
    assert attributes({}, content_type=content_type) == {}


OTHERS = ("claimcheck", "extendedpayloadsize", "s3key", "a..b", "aws.x", "x y")


@pytest.mark.parametrize("name", [*(name.lower() for name in ORIGIN_ATTRIBUTES), *OTHERS])
def test_entry_with_a_reserved_name_is_no_attribute(name: str) -> None:
    """It cannot pass for an attribute of the publish function, and keeps no upload from being published."""
    assert attributes({name: "shop", "kind": "scan"}) == {"kind": "scan", "metadata": {name: "shop"}}


def test_entry_with_the_name_of_a_header_is_no_attribute() -> None:
    found = attributes({"content-type": "image/png"}, content_type="text/csv")
    assert found == {"content-type": "text/csv", "metadata": {"content-type": "image/png"}}


def test_empty_value_is_no_attribute() -> None:
    assert attributes({"empty": ""}) == {"metadata": {"empty": ""}}


def test_chosen_names_cannot_be_reserved() -> None:
    assert RESERVED_METADATA == ORIGIN_ATTRIBUTES
