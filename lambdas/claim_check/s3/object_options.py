"""Properties of the objects that are written: encryption key, tags, storage class and content type."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

# S3 user guide, "Understanding and managing Amazon S3 storage classes". Not the classes that are restored before they
# are read (GLACIER, DEEP_ARCHIVE), and not those of directory buckets and Outposts.
STORAGE_CLASSES = frozenset(
    {"STANDARD", "STANDARD_IA", "ONEZONE_IA", "INTELLIGENT_TIERING", "GLACIER_IR", "REDUCED_REDUNDANCY"}
)
_MAXIMUM_TAGS = 10
_kms_key = re.compile(r"[A-Za-z0-9:/_-]{1,2048}")
_content_type = re.compile(r"[!-~]+/[!-~]+( [!-~]+)*")
_content_encoding = re.compile(r"[A-Za-z0-9_-]+( ?, ?[A-Za-z0-9_-]+)*")
_tag = re.compile(r"(?!aws:)[\w\s+\-=.:/@]*")  # letters, numbers and spaces of all languages, and + - = . _ : / @


@dataclass(frozen=True, kw_only=True)
class ObjectOptions:
    """Properties of the object that holds a payload. The default of each is the bucket's, or S3's.

    `kms_key` is a KMS key's id, ARN or alias: S3 encrypts the object with it. The writer needs kms:GenerateDataKey and
    kms:Decrypt of the key, and readers need kms:Decrypt. `tags` are up to ten; the writer needs s3:PutObjectTagging.
    `storage_class` is one from which objects are read at once. `content_type` is a media type, for tools that read the
    bucket: subscribers do not see it. Nor do they see `content_encoding`, such as "gzip".

    Raises ValueError with the name and value of an invalid field.
    """

    kms_key: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    storage_class: str | None = None
    content_type: str | None = None
    content_encoding: str | None = None

    def __post_init__(self) -> None:
        if self.kms_key is not None and not _kms_key.fullmatch(self.kms_key):
            raise ValueError(f"kms_key = {self.kms_key!r}: must be the id, ARN or alias of a KMS key")
        if self.storage_class is not None and self.storage_class not in STORAGE_CLASSES:
            raise ValueError(
                f"storage_class = {self.storage_class!r}: must be one of {', '.join(sorted(STORAGE_CLASSES))}"
            )
        if self.content_type is not None and not _content_type.fullmatch(self.content_type):
            raise ValueError(f"content_type = {self.content_type!r}: must be a media type such as 'image/tiff'")
        if self.content_encoding is not None and not _content_encoding.fullmatch(self.content_encoding):
            raise ValueError(f"content_encoding = {self.content_encoding!r}: must be one or more names such as 'gzip'")
        if len(self.tags) > _MAXIMUM_TAGS:
            raise ValueError(f"tags: {len(self.tags)} are more than {_MAXIMUM_TAGS}, the maximum of S3: remove some")
        for name, value in self.tags.items():
            _check_tag(name, value)

    def parameters(self) -> dict[str, Any]:
        """Return the parameters of PutObject, CreateMultipartUpload or CopyObject."""
        encryption = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": self.kms_key} if self.kms_key else {}
        others = {
            "Tagging": urlencode(self.tags),
            "StorageClass": self.storage_class,
            "ContentType": self.content_type,
            "ContentEncoding": self.content_encoding,
        }
        return encryption | {name: value for name, value in others.items() if value}


def _check_tag(name: object, value: object) -> None:
    texts = isinstance(name, str) and isinstance(value, str)
    if not (texts and 1 <= len(str(name)) <= 128 and len(str(value)) <= 256):
        raise ValueError(f"tags: {name!r} = {value!r}: a name has 1 to 128 characters, a value up to 256")
    if not (_tag.fullmatch(str(name)) and _tag.fullmatch(str(value))):
        raise ValueError(
            f"tags: {name!r} = {value!r}: use letters, numbers, spaces and + - = . _ : / @, and no name with 'aws:'"
        )
