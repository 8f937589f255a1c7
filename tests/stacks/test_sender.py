"""A sender's stack: one role, one bus, and its outputs."""

from tests.stacks.policies import Template, only, statements, with_sid

BUCKET = "arn:aws:s3:::coatcheck-payloads-111111111111-us-east-1"
EVENT_BUS = "arn:aws:events:us-east-1:111111111111:event-bus/coatcheck"


def test_sender_role_trusts_its_own_account(templates: dict[str, Template]) -> None:
    role = only(templates["coatcheck-shop-sender"], "AWS::IAM::Role")["Properties"]
    assert role["RoleName"] == "coatcheck-shop-sender"
    (trust,) = role["AssumeRolePolicyDocument"]["Statement"]
    assert trust["Principal"] == {"AWS": "arn:aws:iam::444444444444:root"}
    assert trust["Action"] == "sts:AssumeRole"


def test_sender_role_puts_events_and_uploads_alone(templates: dict[str, Template]) -> None:
    template = templates["coatcheck-shop-sender"]
    policy = statements(template, "AWS::IAM::Policy")
    assert {statement["Sid"] for statement in policy} == {"PutEvents", "Upload", "EncryptUploads"}
    assert with_sid(policy, "PutEvents")["Resource"] == EVENT_BUS
    assert with_sid(policy, "Upload")["Resource"] == f"{BUCKET}/outbox/shop/*"
    assert with_sid(policy, "EncryptUploads")["Condition"]["StringEquals"]["kms:EncryptionContext:aws:s3:arn"] == BUCKET
    kinds = ("AWS::IAM::Role", "AWS::IAM::Policy", "AWS::Events::EventBus", "AWS::Events::EventBusPolicy")
    assert {resource["Type"] for resource in template["Resources"].values()} == set(kinds)


def test_sender_outputs_role_buses_and_folder(templates: dict[str, Template]) -> None:
    outputs = templates["coatcheck-shop-sender"]["Outputs"]
    assert outputs["OutboxUri"]["Value"] == "s3://coatcheck-payloads-111111111111-us-east-1/outbox/shop/"
    assert outputs["ReportBusArn"]["Value"] == {"Fn::GetAtt": ["EventBus7B8748AA", "Arn"]}
    assert outputs["EventBusArn"]["Value"] == EVENT_BUS
    assert "SenderRoleArn" in outputs
