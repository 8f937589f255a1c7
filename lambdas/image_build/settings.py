"""Settings of one image build. They are properties of a resource: one function builds all images of a stack."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from shared.settings import Properties

RESOURCE_TYPE = "Custom::ContainerImage"


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The properties of the custom resource, which the stack writes and the function reads."""

    project: str
    """Name of the CodeBuild project."""
    repository: str
    """Name of the ECR repository."""
    tag: str
    """Tag of the image, made from the build's content."""
    source: str
    """`bucket/key` of the zipped build context."""

    @classmethod
    def from_properties(cls, properties: Mapping[str, Any]) -> Settings:
        """Read the settings. Raises InvalidSettings with the name of a missing property."""
        properties = Properties(properties)
        return cls(
            project=properties["Project"],
            repository=properties["Repository"],
            tag=properties["Tag"],
            source=properties["Source"],
        )

    def to_properties(self) -> dict[str, str]:
        """Return the properties of the custom resource."""
        return {"Project": self.project, "Repository": self.repository, "Tag": self.tag, "Source": self.source}
