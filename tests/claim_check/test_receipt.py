"""Receipt handles of AWS's extended clients."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from claim_check import Pointer, Receipt

EMBEDDED = "-..s3BucketName..-{}-..s3BucketName..--..s3Key..-{}-..s3Key..-{}"


@pytest.mark.parametrize(
    "handle", ["AQEBwJnKyrHigUMZj6rYigCgxlaS3SLy0a", "with-many--dashes-", "-..s3Key..-", "line\nline", ""]
)
@pytest.mark.parametrize(
    ("bucket", "key"), [("payloads-one", "payloads/a-b-c"), ("b", "0b1c2d3e-0000-4000-8000-000000000001")]
)
def test_an_embedded_handle_has_its_own_and_a_pointer(bucket: str, key: str, handle: str) -> None:
    assert Receipt.parse(EMBEDDED.format(bucket, key, handle)) == Receipt(handle, Pointer(bucket, key))


@pytest.mark.parametrize(
    "handle",
    [
        "AQEB-w/J+nKyrHigUMZj6rYigCgxlaS3SLy0a==",
        "",
        "-..s3BucketName..-b-..s3BucketName..-",
        "x" + EMBEDDED.format("b", "k", "h"),
        "-..s3Key..-k-..s3Key..--..s3BucketName..-b-..s3BucketName..-h",
    ],
)
def test_any_other_handle_is_sqss_own(handle: str) -> None:
    assert Receipt.parse(handle) == Receipt(handle, None)


@given(st.text())
def test_no_handle_fails(handle: str) -> None:
    assert Receipt.parse(handle).handle in handle


@given(bucket=st.from_regex(r"[a-z0-9.-]{3,63}", fullmatch=True), key=st.text(min_size=1), handle=st.text())
def test_what_was_embedded_comes_back(bucket: str, key: str, handle: str) -> None:
    if "s3Key.." not in key:
        assert Receipt.parse(EMBEDDED.format(bucket, key, handle)) == Receipt(handle, Pointer(bucket, key))
