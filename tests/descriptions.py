"""AWS's descriptions of its services, read once a process. Otherwise each session of boto3 reads them again."""

from typing import Any

import botocore.session
from botocore.loaders import Loader, create_loader

_read: dict[str | None, Any] = {}
"""What loaders have read, by their additional folders."""


def _loader(search_path_string: str | None = None) -> Loader:
    loader = create_loader(search_path_string)
    loader._cache = _read.setdefault(search_path_string, {})  # type: ignore[attr-defined]
    return loader


def share() -> None:
    """Make all later sessions share what they read."""
    botocore.session.create_loader = _loader
