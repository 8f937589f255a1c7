"""Patches of CloudFormation: a description waits for the operation, and an existing queue is refused."""

import json

import pytest

from tests.local.support import Account, unique

SLOW = """
import json, os, ssl, time, urllib.request

def handler(event, context):
    time.sleep(1)
    ids = {name: event[name] for name in ("StackId", "RequestId", "LogicalResourceId")}
    body = json.dumps({"Status": "SUCCESS", "PhysicalResourceId": "slow", **ids}).encode()
    request = urllib.request.Request(event["ResponseURL"], data=body, method="PUT")
    urllib.request.urlopen(request, context=ssl.create_default_context(cafile=os.environ["AWS_CA_BUNDLE"]))
"""


@pytest.mark.patched
def test_description_waits_for_the_operation(publisher: Account) -> None:
    slow = {"Type": "Custom::Slow", "Properties": {"ServiceToken": publisher.function(SLOW)}}
    cloudformation, name = publisher.client("cloudformation"), unique("stack")
    cloudformation.create_stack(StackName=name, TemplateBody=json.dumps({"Resources": {"Slow": slow}}))
    (stack,) = cloudformation.describe_stacks(StackName=name)["Stacks"]
    assert stack["StackStatus"] == "CREATE_COMPLETE"


@pytest.mark.patched
def test_existing_queue_is_refused(publisher: Account) -> None:
    """It could have messages."""
    name = publisher.queue().rpartition(":")[2]
    template = {"Resources": {"Queue": {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": name}}}}
    cloudformation = publisher.client("cloudformation")
    cloudformation.create_stack(StackName=name, TemplateBody=json.dumps(template))
    (stack,) = cloudformation.describe_stacks(StackName=name)["Stacks"]
    assert stack["StackStatus"] == "ROLLBACK_COMPLETE"
    assert publisher.client("sqs").get_queue_url(QueueName=name)
