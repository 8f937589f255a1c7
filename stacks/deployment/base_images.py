"""The base images of research/image/bases.toml, which Dockerfiles get as build arguments."""

from __future__ import annotations

import tomllib
from datetime import date
from pathlib import Path
from typing import Annotated

from stacks.deployment.research import ROOT
from stacks.deployment.types import Table, pattern

BASES = ROOT / "research" / "image" / "bases.toml"
Digest = Annotated[str, pattern(r"(sha256:[0-9a-f]{64})?", "must be a digest, such as sha256:…, or empty.")]


class BaseImage(Table):
    """A table of the file: a base image under the name of its build argument."""

    image: str
    """Name with tag."""
    digest: Digest
    """Digest of the tag, which names the same content forever. Empty until `tools/pin_bases.py` has found it."""
    support_ends: date | None = None
    """Day after which the image gets no more security updates."""

    @property
    def reference(self) -> str:
        """The name with tag and digest. The digest decides."""
        return f"{self.image}@{self.digest}" if self.digest else self.image


def base_images(file: Path = BASES) -> dict[str, BaseImage]:
    """Return the base images by build argument."""
    return {name: BaseImage.model_validate(table) for name, table in tomllib.loads(file.read_text()).items()}


def unpinned(bases: dict[str, BaseImage]) -> dict[str, str]:
    """Return the reason not to build with a base, for each base without a digest."""
    return {
        name: f"{name} = {base.image}: has no digest in research/image/{BASES.name}, so that its content could change. "
        "Run python tools/pin_bases.py, which asks the registry for the digest, and deploy again."
        for name, base in bases.items()
        if not base.digest
    }
