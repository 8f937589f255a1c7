"""An organisation's tags, and the version of the project, in the templates of all stacks."""

from importlib.metadata import version

from stacks.deployment import load
from tests.stacks.policies import Template
from tests.stacks.schemas import schema
from tests.templates import ROOT, synthesize


def test_every_stack_has_its_version(templates: dict[str, Template]) -> None:
    for template in templates.values():
        assert template["Outputs"]["CoatcheckVersion"]["Value"] == version("coatcheck")


def test_taggable_resources_have_the_tags() -> None:
    for stack in synthesize(load(ROOT / "deployments" / "same-region.toml")):
        for logical, resource in stack.template["Resources"].items():
            kind = resource["Type"]
            taggable = kind.startswith("AWS::") and "Tags" in schema(kind)["properties"]
            if taggable and kind != "AWS::DynamoDB::GlobalTable":
                assert "4711" in str(resource["Properties"].get("Tags")), (stack.name, logical)
