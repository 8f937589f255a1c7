"""`coatcheck doctor` on emulated accounts, with a profile for each, before and after stacks are broken by hand."""

from __future__ import annotations

import json
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from cli.doctor import command
from cli.main import main
from local.world import World
from stacks.deployment import load_messaging
from tests.local.support import Account, document, eventually
from tests.system.support import EXAMPLE_WITH_LANDING, Demo
from tests.templates import synthesize

pytestmark = [pytest.mark.system, pytest.mark.exhaustive]

PUBLISHER, ORDERS, BILLING, SHOP = (digit * 12 for digit in "1234")
BUCKET = f"coatcheck-payloads-{PUBLISHER}-us-east-1"
TOPIC = f"arn:aws:sns:us-east-1:{PUBLISHER}:coatcheck-messages"
AUDIT = f'\n[[subscribers]]\nname = "audit"\nkind = "sqs"\naccount = "{ORDERS}"\nregion = "us-west-2"\n'
LIMITED = ["cloudformation:*", "sns:GetTopicAttributes"]
"""What the profile `limited` may do."""


@pytest.fixture
def world(demo: Demo) -> World:
    return demo.world


@pytest.fixture
def profiles(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    common = f"ca_bundle={world.emulator.ca_bundle}\nendpoint_url={world.emulator.endpoint}\nregion=us-east-1\n"
    accounts = {"publisher": PUBLISHER, "orders": ORDERS, "billing": BILLING, "shop": SHOP}
    text = "".join(
        f"[profile {name}]\naws_access_key_id={account}\naws_secret_access_key={world.emulator.secret}\n{common}"
        for name, account in accounts.items()
    )
    publisher = Account(world.accounts, PUBLISHER)
    role = publisher.role_arn(publisher.role({"Action": LIMITED, "Resource": "*"}))
    text += f"[profile limited]\nrole_arn={role}\nsource_profile=publisher\n{common}"
    (tmp_path / "config").write_text(text)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    # As in a new process, which takes seconds.
    monkeypatch.setattr(command, "synthesize", lambda file: synthesize(load_messaging(file)))


def doctor(
    capfd: pytest.CaptureFixture[str],
    *names: str,
    file: Path,
) -> tuple[int, dict[str, Any], list[str]]:
    """Return the exit code, the sections by title, and the problems."""
    options = [option for name in names for option in ("--profile", name)]
    with pytest.raises(SystemExit) as exit_:
        main(["doctor", "--deployment", str(file), "--json", *options])
    (page,) = json.loads(capfd.readouterr().out)
    sections = {section["title"]: section for section in page["sections"]}
    problems = [
        each["text"] for section in page["sections"] for each in section["findings"] if each["level"] == "problem"
    ]
    assert exit_.value.code == int(bool(problems))
    return int(str(exit_.value.code)), sections, problems


ALL = ("publisher", f"{ORDERS}=orders", "billing", "shop")


def test_intact_deployment_has_no_problem(demo: Demo, profiles: None, capfd: pytest.CaptureFixture[str]) -> None:
    code, sections, problems = doctor(capfd, *ALL, file=demo.file)
    assert code == 0, problems
    assert sections["Accounts"]["summary"] == "credentials for 4 of 4"
    assert {status for status, _ in sections["Stacks"]["facts"]} == {"CREATE_COMPLETE"}
    assert int(sections["Policies"]["summary"].split()[0]) > 50
    for title in ("Stacks", "Resources", "Policies", "Repair"):
        assert sections[title]["level"] == "ok"
    refused = [finding["text"] for finding in sections["Requests"]["findings"]]
    assert any(text.startswith("servicequotas:ListServiceQuotas in ") for text in refused)
    assert {sections[title]["level"] for title in ("Quotas", "Analyzer")} == {"not asked"}


def test_one_account_is_looked_at_alone(demo: Demo, profiles: None, capfd: pytest.CaptureFixture[str]) -> None:
    _, sections, problems = doctor(capfd, "billing", file=demo.file)
    assert not problems
    texts = [finding["text"] for finding in sections["Accounts"]["findings"]]
    assert f"{SHOP}: no credentials, so coatcheck-shop-sender was not looked at. Give --profile {SHOP}=NAME." in texts
    assert sections["Stacks"]["facts"] == [["CREATE_COMPLETE", f"coatcheck-billing (coatcheck {version('coatcheck')})"]]


def test_missing_permissions_are_named(demo: Demo, profiles: None, capfd: pytest.CaptureFixture[str]) -> None:
    _, sections, problems = doctor(capfd, "limited", file=demo.file)
    assert not problems
    refused = [finding["text"].partition(" ")[0] for finding in sections["Requests"]["findings"]]
    for permission in ("s3:GetBucketPolicy", "kms:GetKeyPolicy", "sqs:GetQueueAttributes", "iam:GetRole"):
        assert permission in refused
    assert "sns:GetTopicAttributes" not in refused
    assert sections["Policies"]["summary"].startswith("2 deployed policies")


def test_everything_broken_by_hand_is_reported(
    demo: Demo, profiles: None, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    break_stacks(demo.world)
    file = tmp_path / "prod.toml"
    file.write_text(EXAMPLE_WITH_LANDING + AUDIT)
    code, sections, problems = doctor(capfd, *ALL, file=file)
    assert code == 1
    for expected in (
        f"{ORDERS} us-east-1: is not bootstrapped with the qualifier hnb659fds. Run: npx cdk bootstrap",
        "stack coatcheck-audit: is ROLLBACK_COMPLETE",
        "stack coatcheck-audit-undelivered: is not deployed",
        "is not subscribed to " + TOPIC,
        'FilterPolicy is {"kind": ["a"]}, expected none',
        'RawMessageDelivery is "true", expected none',
        "Enabled is false, expected true. The function reads no message. Run: aws lambda update-event-source-mapping",
        "BatchSize is 3, expected ",
        "ReservedConcurrentExecutions is 0, expected none. With 0 the function never runs",
        'State is "DISABLED", expected "ENABLED". Its events go nowhere. Run: aws events enable-rule',
        "Targets is not set, expected [",
        'KeyState is "Disabled", expected "Enabled". Its data cannot be read',
        "ActionsEnabled is false, expected true. Without actions it sends no notification",
        "LifecycleConfiguration is not set, expected {",
        "PublicAccessBlockConfiguration.BlockPublicPolicy is not set, expected true",
        "NotificationConfiguration is not set, expected {",
        'VersioningConfiguration.Status is "Suspended", expected "Enabled"',
        'VisibilityTimeout is "7", expected ',
        'MessageRetentionPeriod is "60", expected ',
        "RedrivePolicy is not set, expected {",
        'PermissionsBoundary is "arn:aws:iam::aws:policy/ReadOnlyAccess", expected none',
        "Timeout is 1, expected ",
        "Environment.Variables.CLUSTER_ARN is not set, expected ",
        "RetentionInDays is 1, expected ",
        "TimeToLiveSpecification.Enabled is false, expected true",
        "DefinitionString.States",
        "AWS::EC2::Route",
        'Status is "INACTIVE", expected "ACTIVE". No task can start',
        "AWS::Lambda::EventInvokeConfig",
        "in the bucket policy, statement ByHand is not in the template",
        "in the topic policy, statement DenyUnknownEndpoints is missing",
        "in the queue policy, statement DeliverFromTopic is missing",
        "in the key policy, statement DecryptPayloadsOrders has another Condition",
        f"in the bus policy, statement PutEventsFrom{SHOP} is missing",
        "in the function policy, statement ByHand is not in the template",
        "in the trust policy, statement without Sid (Allow) is not in the template",
        "role coatcheck-billing-task: in the inline policies, statement without Sid (Allow) is not in the template",
        'ManagedPolicyArns is ["arn:aws:iam::aws:policy/AdministratorAccess"], expected none',
        "coatcheck-billing-dead-letters does not exist. It was deleted outside its stack",
    ):
        assert any(expected in text for text in problems), (expected, problems)
    notes = [finding["text"] for section in sections.values() for finding in section["findings"]]
    assert any("coatcheck-publisher: was deployed by coatcheck " in text for text in notes)
    assert any(" coatcheck-publisher coatcheck-orders coatcheck-billing --revert-drift`" in text for text in notes)
    assert any(text.startswith("The subscription of coatcheck-orders needs two deployments") for text in notes)
    assert any(
        "In coatcheck-publisher coatcheck-orders coatcheck-billing, write them by hand" in text for text in notes
    )


def break_stacks(world: World) -> None:
    def client(service: str, account: str, region: str = "us-east-1") -> Any:
        return world.accounts.client(service, account=account, region=region)

    by_hand = {"Sid": "ByHand", "Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::999999999999:root"}}
    ids = {
        each["LogicalResourceId"]: each["PhysicalResourceId"]
        for each in client("cloudformation", PUBLISHER).list_stack_resources(StackName="coatcheck-publisher")[
            "StackResourceSummaries"
        ]
    }
    # Policies.
    s3 = client("s3", PUBLISHER)
    policy = json.loads(s3.get_bucket_policy(Bucket=BUCKET)["Policy"])
    policy["Statement"].append({**by_hand, "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{BUCKET}/*"})
    s3.put_bucket_policy(Bucket=BUCKET, Policy=json.dumps(policy))
    sns = client("sns", PUBLISHER)
    policy = json.loads(sns.get_topic_attributes(TopicArn=TOPIC)["Attributes"]["Policy"])
    policy["Statement"] = [each for each in policy["Statement"] if each["Sid"] != "DenyUnknownEndpoints"]
    sns.set_topic_attributes(TopicArn=TOPIC, AttributeName="Policy", AttributeValue=json.dumps(policy))
    sqs = client("sqs", ORDERS, "us-west-2")
    url = sqs.get_queue_url(QueueName="coatcheck-orders")["QueueUrl"]
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": ""})
    kms, key = client("kms", PUBLISHER), next(each for name, each in ids.items() if name.startswith("Key"))
    policy = json.loads(kms.get_key_policy(KeyId=key, PolicyName="default")["Policy"])
    reader = next(each for each in policy["Statement"] if each.get("Sid") == "DecryptPayloadsOrders")
    reader["Condition"]["ArnEquals"] = {"aws:PrincipalArn": f"arn:aws:iam::{ORDERS}:role/*"}
    kms.put_key_policy(KeyId=key, PolicyName="default", Policy=json.dumps(policy))
    events = client("events", PUBLISHER)
    events.remove_permission(EventBusName="coatcheck", StatementId=f"coatcheck-{SHOP}")
    functions = client("lambda", BILLING)
    consume = "coatcheck-billing-consume"
    invoke = {"Action": "lambda:InvokeFunction", "Principal": "999999999999"}
    functions.add_permission(FunctionName=consume, StatementId="ByHand", **invoke)
    iam = client("iam", BILLING)
    trust = iam.get_role(RoleName="coatcheck-billing-task")["Role"]["AssumeRolePolicyDocument"]
    trust["Statement"].append(
        {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{BILLING}:root"}, "Action": "sts:AssumeRole"}
    )
    iam.update_assume_role_policy(RoleName="coatcheck-billing-task", PolicyDocument=json.dumps(trust))
    more = document({"Action": "s3:*", "Resource": "*"})
    iam.put_role_policy(RoleName="coatcheck-billing-task", PolicyName="more", PolicyDocument=more)
    administrator = "arn:aws:iam::aws:policy/AdministratorAccess"
    iam.attach_role_policy(RoleName="coatcheck-billing-reader", PolicyArn=administrator)
    # What stops messages.
    arns = {
        each["Protocol"]: each["SubscriptionArn"]
        for each in sns.list_subscriptions_by_topic(TopicArn=TOPIC)["Subscriptions"]
    }
    sns.unsubscribe(SubscriptionArn=arns["sqs"])
    sns.set_subscription_attributes(
        SubscriptionArn=arns["lambda"], AttributeName="FilterPolicy", AttributeValue='{"kind": ["a"]}'
    )
    polling = client("lambda", ORDERS, "us-west-2")
    (mapping,) = polling.list_event_source_mappings(FunctionName="coatcheck-orders-consume")["EventSourceMappings"]
    polling.update_event_source_mapping(UUID=mapping["UUID"], Enabled=False)
    functions.put_function_concurrency(FunctionName=consume, ReservedConcurrentExecutions=0)
    rule = next(each for name, each in ids.items() if name.startswith("EventBusRule")).rpartition("|")[2]
    events.disable_rule(Name=rule, EventBusName="coatcheck")
    kms.disable_key(KeyId=key)
    client("cloudwatch", PUBLISHER).disable_alarm_actions(AlarmNames=["coatcheck-publisher-PublishFails"])
    letters = client("sqs", BILLING)
    letters.delete_queue(QueueUrl=letters.get_queue_url(QueueName="coatcheck-billing-dead-letters")["QueueUrl"])
    # A property of each kind that no policy has.
    bucket = {"Bucket": BUCKET}
    s3.delete_bucket_lifecycle(**bucket)
    s3.put_public_access_block(**bucket, PublicAccessBlockConfiguration={"BlockPublicAcls": True})
    s3.put_bucket_notification_configuration(**bucket, NotificationConfiguration={})
    s3.put_bucket_versioning(**bucket, VersioningConfiguration={"Status": "Suspended"})
    changed = {"VisibilityTimeout": "7", "MessageRetentionPeriod": "60", "RedrivePolicy": ""}
    sqs.set_queue_attributes(QueueUrl=url, Attributes=changed)
    boundary = "arn:aws:iam::aws:policy/ReadOnlyAccess"
    client("iam", ORDERS).put_role_permissions_boundary(
        RoleName="coatcheck-orders-reader", PermissionsBoundary=boundary
    )
    variables = functions.get_function_configuration(FunctionName=consume)["Environment"]["Variables"]
    variables.pop("CLUSTER_ARN")
    functions.update_function_configuration(FunctionName=consume, Timeout=1, Environment={"Variables": variables})
    functions.delete_function_event_invoke_config(FunctionName=consume, Qualifier="$LATEST")
    polling.update_event_source_mapping(UUID=mapping["UUID"], BatchSize=3)
    sns.set_subscription_attributes(
        SubscriptionArn=arns["lambda"], AttributeName="RawMessageDelivery", AttributeValue="true"
    )
    client("logs", BILLING).put_retention_policy(logGroupName=f"/aws/lambda/{consume}", retentionInDays=1)
    ttl = {"AttributeName": "expiration", "Enabled": False}
    client("dynamodb", BILLING).update_time_to_live(
        TableName="coatcheck-billing-idempotency", TimeToLiveSpecification=ttl
    )
    states = client("stepfunctions", ORDERS, "us-west-2")
    (machine,) = states.list_state_machines()["stateMachines"]
    states.update_state_machine(
        stateMachineArn=machine["stateMachineArn"],
        definition=json.dumps({"StartAt": "Done", "States": {"Done": {"Type": "Succeed"}}}),
    )
    ec2 = client("ec2", BILLING)
    table = next(
        each
        for each in ec2.describe_route_tables()["RouteTables"]
        if any("GatewayId" in route and route["GatewayId"].startswith("igw") for route in each["Routes"])
    )
    ec2.delete_route(RouteTableId=table["RouteTableId"], DestinationCidrBlock="0.0.0.0/0")
    ecs = client("ecs", BILLING)
    (task,) = ecs.list_task_definitions()["taskDefinitionArns"]
    ecs.deregister_task_definition(taskDefinition=task)
    targets = events.list_targets_by_rule(Rule=rule, EventBusName="coatcheck")["Targets"]
    events.remove_targets(Rule=rule, EventBusName="coatcheck", Ids=[each["Id"] for each in targets])
    # What a deployment needs.
    client("ssm", ORDERS).delete_parameter(Name="/cdk-bootstrap/hnb659fds/version")
    broken = {
        "Subscription": {"Type": "AWS::SNS::Subscription", "Properties": {"TopicArn": f"{TOPIC}-2", "Protocol": "sqs"}}
    }
    broken["Subscription"]["Properties"]["Endpoint"] = f"arn:aws:sqs:us-west-2:{ORDERS}:none"  # type: ignore[index]
    cloudformation = client("cloudformation", ORDERS, "us-west-2")
    cloudformation.create_stack(StackName="coatcheck-audit", TemplateBody=json.dumps({"Resources": broken}))
    eventually(
        lambda: (
            cloudformation.describe_stacks(StackName="coatcheck-audit")["Stacks"][0]["StackStatus"]
            == "ROLLBACK_COMPLETE"
        )
    )
