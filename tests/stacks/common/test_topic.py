"""Topics: signatures of notifications."""

from tests.stacks.policies import Template, resources


def test_topics_sign_with_sha256(templates: dict[str, Template]) -> None:
    topics = [topic for template in templates.values() for topic in resources(template, "AWS::SNS::Topic").values()]
    assert [topic["Properties"]["SignatureVersion"] for topic in topics] == ["2"] * 5
