"""Topics: encryption and transport."""

from stacks.common.topic import ACTIONS
from tests.stacks.policies import Template, resources


def test_topics_are_encrypted_and_refuse_plain_http(templates: dict[str, Template]) -> None:
    topics = 0
    for template in templates.values():
        keys = resources(template, "AWS::KMS::Key")
        policies = [policy["Properties"] for policy in resources(template, "AWS::SNS::TopicPolicy").values()]
        for name, topic in resources(template, "AWS::SNS::Topic").items():
            topics += 1
            assert topic["Properties"]["KmsMasterKeyId"]["Fn::GetAtt"][0] in keys
            assert topic["Properties"]["SignatureVersion"] == "2"
            (policy,) = (each for each in policies if each["Topics"] == [{"Ref": name}])
            (deny,) = (s for s in policy["PolicyDocument"]["Statement"] if s["Sid"] == "DenyInsecureTransport")
            assert (deny["Effect"], deny["Principal"]) == ("Deny", {"AWS": "*"})
            assert deny["Action"] == list(ACTIONS)
            assert deny["Resource"] == {"Ref": name}
            assert deny["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    assert topics == 5
