"""Resources that outlive their stack: CloudFormation imports them by name, or the runbook says to delete them first."""

import pytest

from stacks.deployment import load
from tests.stacks.schemas import schema
from tests.templates import EXAMPLES, ROOT, synthesize

DELETED_FIRST = {"AWS::SQS::Queue": "queues", "AWS::KMS::Key": "the key"}
"""Types whose identifier AWS chooses, so that no template can name it, and their words in the runbook."""


STEMS = [
    file.stem for file in EXAMPLES if not file.stem.startswith("research") and not load(file).ephemeral
]  # a user's file is among them
FIRST = ("example", "applications", "everywhere")
"""The examples of `make test`. `make check` has all."""


@pytest.mark.parametrize(
    "stem", [stem if stem in FIRST else pytest.param(stem, marks=pytest.mark.exhaustive) for stem in STEMS]
)
def test_retained_resource_can_be_imported_or_is_in_the_runbook(stem: str) -> None:
    retained = [
        resource
        for stack in synthesize(load(ROOT / "deployments" / f"{stem}.toml"))
        for resource in stack.template["Resources"].values()
        if resource.get("DeletionPolicy", "Delete").startswith("Retain")
        # CloudFormation generates a part of the names of CDK's own log groups, so they are never in the way.
        and resource["Type"] != "AWS::Logs::LogGroup"
    ]
    assert retained
    not_importable = set()
    for resource in retained:
        names = [path.removeprefix("/properties/") for path in schema(resource["Type"])["primaryIdentifier"]]
        if not all(isinstance(resource["Properties"].get(name), str) for name in names):
            not_importable.add(resource["Type"])
    assert not_importable <= set(DELETED_FIRST)
    _, _, section = (ROOT / "docs" / "runbook.md").read_text().partition("\n## Deploy a removed stack again\n")
    assert all(DELETED_FIRST[kind] in section.partition("\n## ")[0] for kind in not_importable)
