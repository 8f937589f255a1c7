"""Options of stored objects: validation and parameters."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs

import pytest

from claim_check import ObjectOptions
from claim_check.s3.object_options import STORAGE_CLASSES

KEY = "arn:aws:kms:eu-west-1:111111111111:key/0b1c2d3e-0000-4000-8000-000000000001"


def test_options_are_parameters_of_s3() -> None:
    options = ObjectOptions(kms_key=KEY, tags={"a": "b"}, storage_class="STANDARD_IA", content_type="image/tiff")
    assert options.parameters() == {
        "ServerSideEncryption": "aws:kms",
        "SSEKMSKeyId": KEY,
        "Tagging": "a=b",
        "StorageClass": "STANDARD_IA",
        "ContentType": "image/tiff",
    }


def test_default_options_are_those_of_the_bucket() -> None:
    assert ObjectOptions().parameters() == {}


def test_tags_are_encoded() -> None:
    tags = {"größe + x": "a=b@c/d", "empty": ""}
    encoded = ObjectOptions(tags=tags).parameters()["Tagging"]
    assert parse_qs(encoded, keep_blank_values=True) == {name: [value] for name, value in tags.items()}


@pytest.mark.parametrize("kms_key", ["alias/a", "0b1c2d3e-0000", "mrk-1", KEY])
@pytest.mark.parametrize("content_type", ["text/plain; charset=utf-8", "application/vnd.ms-excel"])
@pytest.mark.parametrize("storage_class", sorted(STORAGE_CLASSES))
def test_usual_values_are_accepted(kms_key: str, content_type: str, storage_class: str) -> None:
    ObjectOptions(kms_key=kms_key, content_type=content_type, storage_class=storage_class)


def test_limits_of_tags_are_inclusive() -> None:
    ObjectOptions(tags={"n" * 128: "v" * 256} | {str(number): "" for number in range(9)})


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"kms_key": ""}, "kms_key = ''"),
        ({"kms_key": "a b"}, "kms_key = 'a b'"),
        ({"kms_key": "k\n"}, "kms_key = "),
        ({"content_type": "tiff"}, "content_type = 'tiff'"),
        ({"content_type": "image/tiff\r\nx: y"}, "content_type = "),
        ({"content_type": "image/tiff\n"}, "content_type = "),
        ({"storage_class": "GLACIER"}, "storage_class = 'GLACIER': must be one of GLACIER_IR, "),
        ({"storage_class": "standard"}, "storage_class = 'standard'"),
        ({"tags": {str(number): "" for number in range(11)}}, "tags: 11 are more than 10"),
        ({"tags": {"": "v"}}, "1 to 128 characters"),
        ({"tags": {"n" * 129: "v"}}, "1 to 128 characters"),
        ({"tags": {"n": "v" * 257}}, "up to 256"),
        ({"tags": {"n": 1}}, "1 to 128 characters"),
        ({"tags": {1: "v"}}, "1 to 128 characters"),
        ({"tags": {"n": "a&b"}}, "use letters"),
        ({"tags": {"a?": "b"}}, "use letters"),
        ({"tags": {"aws:a": "b"}}, "no name with 'aws:'"),
    ],
)
def test_invalid_options_are_rejected(options: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        ObjectOptions(**options)
