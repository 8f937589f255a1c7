"""The Studio domain: sign-on, network, and the default settings."""

from typing import Any

from stacks.deployment.research_checks import NOT_HIDEABLE, values
from tests.stacks.policies import Template, only
from tests.stacks.research.environments import load_example
from tests.stacks.schemas import schema


def domain(template: Template) -> dict[str, Any]:
    properties: dict[str, Any] = only(template, "AWS::SageMaker::Domain")["Properties"]
    return properties


def test_menu_shows_allowed_types_and_tools(template: Template) -> None:
    """The lists are complete by CloudFormation's schema, and have no value that it rejects."""
    portal = domain(template)["DefaultUserSettings"]["StudioWebPortalSettings"]
    definitions = schema("AWS::SageMaker::Domain")["definitions"]
    allowed = set(load_example("research.toml").research.instance_types) | {"system"}
    assert set(portal["HiddenInstanceTypes"]) >= set(definitions["AppInstanceType"]["enum"]) - allowed - {
        "ml.p5e.48xlarge"
    }
    assert set(portal["HiddenInstanceTypes"]) <= set(definitions["AppInstanceType"]["enum"]) - allowed
    assert set(portal["HiddenMlTools"]) == set(definitions["MlTools"]["enum"]) - {"Pipelines"}
    assert values("AppType") - NOT_HIDEABLE == set(definitions["AppType"]["enum"])
