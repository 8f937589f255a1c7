"""Settings of one image build. They are properties of a resource: one function builds all images of a stack."""

from dataclasses import dataclass

from shared.settings import PropertySettings

RESOURCE_TYPE = "Custom::ContainerImage"


@dataclass(frozen=True, kw_only=True)
class Settings(PropertySettings):
    """Properties of `Custom::ContainerImage`."""

    project: str
    """Name of the CodeBuild project."""
    repository: str
    """Name of the ECR repository."""
    tag: str
    """Tag of the image, made from the build's content."""
    source: str
    """`bucket/key` of the zipped build context."""
