"""Patches of S3: checksums of multipart uploads and of copies."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree

from ministack.services import s3

from local.patches.patch import patch, replaces


@patch
def multipart_upload_has_checksum_of_the_whole_object() -> None:
    """Compute the checksum of the whole object for a multipart upload of the type FULL_OBJECT.

    AWS: computes it, stores it as the only checksum, and returns it. The emulator: ignores the type, and computes a
    checksum of the parts' checksums.
    """
    whole: set[str] = set()

    @replaces(s3, "_create_multipart_upload")
    def create(original: Any, bucket: str, key: str, headers: dict[str, str]) -> Any:
        response = original(bucket, key, headers)
        if response[0] == 200 and headers.get("x-amz-checksum-type", "").upper() == "FULL_OBJECT":
            result = ElementTree.fromstring(response[2])  # noqa: S314 - the emulator's own response
            whole.add(result.findtext(f"{{{s3.S3_NS}}}UploadId") or "")
        return response

    @replaces(s3, "_complete_multipart_upload")
    def complete(original: Any, bucket: str, key: str, body: Any, query: Any, *rest: Any, **named: Any) -> Any:
        upload_id = s3._qp(query, "uploadId")
        algorithm = s3._multipart_uploads.get(upload_id, {}).get("checksum_algorithm")
        response = original(bucket, key, body, query, *rest, **named)
        if response[0] != 200 or upload_id not in whole or not algorithm:
            return response
        whole.discard(upload_id)
        created = s3._buckets[bucket]["objects"][key]
        return _with_checksum(response, bucket, key, algorithm, s3._compute_s3_checksum(algorithm, created["body"]))


@patch
def copy_has_requested_checksum() -> None:
    """Compute the checksum that CopyObject requests.

    AWS: CopyObject with ChecksumAlgorithm computes the checksum of the whole object, stores it as the only one, and
    returns it. The emulator: ignores the parameter; the copy has its source's checksums, also a composite one.
    """

    @replaces(s3, "_copy_object")
    def copy(original: Any, bucket: str, key: str, headers: dict[str, str]) -> Any:
        algorithm = headers.get("x-amz-checksum-algorithm", "").upper()
        if not algorithm:
            return original(bucket, key, headers)
        response = original(bucket, key, {**headers, "x-amz-sdk-checksum-algorithm": algorithm})
        if response[0] != 200:
            return response
        value = s3._buckets[bucket]["objects"][key]["checksums"][algorithm]
        return _with_checksum(response, bucket, key, algorithm, value)


def _with_checksum(response: Any, bucket: str, key: str, algorithm: str, value: str) -> Any:
    """Make a checksum of the whole object its only one, and return the response with it."""
    created = s3._buckets[bucket]["objects"][key]
    for stored in (created, *s3._object_versions.get((bucket, key), [])):
        if stored is created or stored["version_id"] == created.get("version_id"):
            stored.update(checksums={algorithm: value}, checksum_type="FULL_OBJECT")
    status, headers, body = response
    ElementTree.register_namespace("", s3.S3_NS)
    root = ElementTree.fromstring(body)  # noqa: S314 - the emulator's own response
    for name, text in ((f"Checksum{algorithm}", value), ("ChecksumType", "FULL_OBJECT")):
        tag = f"{{{s3.S3_NS}}}{name}"
        found = root.find(tag)
        (ElementTree.SubElement(root, tag) if found is None else found).text = text
    return status, headers, ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
