"""Patches of S3: checksums of multipart uploads."""

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
        checksums = {algorithm: s3._compute_s3_checksum(algorithm, created["body"])}
        for stored in (created, *s3._object_versions.get((bucket, key), [])):
            if stored is created or stored["version_id"] == created.get("version_id"):
                stored.update(checksums=checksums, checksum_type="FULL_OBJECT")
        texts = {f"Checksum{algorithm}": checksums[algorithm], "ChecksumType": "FULL_OBJECT"}
        return response[0], response[1], _with_texts(response[2], texts)


def _with_texts(body: bytes, texts: dict[str, str]) -> bytes:
    ElementTree.register_namespace("", s3.S3_NS)
    root = ElementTree.fromstring(body)  # noqa: S314 - the emulator's own response
    for element in root:
        name = element.tag.rpartition("}")[2]
        element.text = texts.get(name, element.text)
    changed: bytes = ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
    return changed
