"""The publisher's event bus: its rule and its archive."""

import json

import pytest

from stacks.deployment import Deployment, parse_messaging
from tests.stacks.conftest import publisher_template
from tests.stacks.policies import Template, only, resources

NOT_AWS = [{"anything-but": {"prefix": "aws."}}, {"prefix": "aws.partner/"}]
TYPES = ["order.placed", "order.cancelled"]


@pytest.fixture(scope="module")
def selective(example: Deployment) -> Template:
    """The publisher's template with detail-types."""
    table = json.loads(example.model_dump_json())
    table["publisher"]["detail_types"] = TYPES
    return publisher_template(parse_messaging(table))


def patterns(template: Template) -> list[object]:
    return [rule["Properties"]["EventPattern"] for rule in resources(template, "AWS::Events::Rule").values()]


def test_bus_publishes_every_event_without_detail_types(templates: dict[str, Template]) -> None:
    template = templates["coatcheck-publisher"]
    assert {"source": NOT_AWS} in patterns(template)
    archive = only(template, "AWS::Events::Archive")["Properties"]
    assert archive["EventPattern"] == {"source": NOT_AWS, "detail-type": [{"exists": False}]}


def test_bus_archives_events_with_other_detail_types(selective: Template) -> None:
    assert {"source": NOT_AWS, "detail-type": TYPES} in patterns(selective)
    archive = only(selective, "AWS::Events::Archive")
    assert archive["Properties"]["EventPattern"] == {"source": NOT_AWS, "detail-type": [{"anything-but": TYPES}]}
    assert archive["Properties"]["ArchiveName"] == "coatcheck-unmatched"
    assert archive["Properties"]["RetentionDays"] == 30
    # EventBridge deletes no bus that has an archive.
    bus = only(selective, "AWS::Events::EventBus")
    assert archive["DeletionPolicy"] == bus["DeletionPolicy"] == "RetainExceptOnCreate"


def test_bus_policies_are_made_one_after_the_other(example: Deployment) -> None:
    """Parallel calls can lose a statement, and a statement's id may have to be unique among the account's buses."""
    table = json.loads(example.model_dump_json())
    table["senders"] = [{"name": f"s{digit}", "account": digit * 12} for digit in "4567"]
    policies = resources(publisher_template(parse_messaging(table)), "AWS::Events::EventBusPolicy")
    assert sorted(each["Properties"]["StatementId"] for each in policies.values()) == [
        f"coatcheck-{digit * 12}" for digit in "4567"
    ]
    earlier = [each.get("DependsOn", []) for each in policies.values()]
    assert sorted(map(len, earlier)) == [0, 1, 1, 1]
    assert len({name for names in earlier for name in names} & set(policies)) == 3


def test_archive_stays_when_detail_types_are_removed(templates: dict[str, Template], selective: Template) -> None:
    """The same resource, so that earlier events can still be replayed."""
    archives = [resources(t, "AWS::Events::Archive") for t in (templates["coatcheck-publisher"], selective)]
    ((logical, without),), ((same, archive),) = (found.items() for found in archives)
    assert same == logical
    assert archive["Properties"]["ArchiveName"] == without["Properties"]["ArchiveName"]
