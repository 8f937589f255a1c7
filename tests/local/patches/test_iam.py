"""Patches of IAM."""

import pytest
from botocore.exceptions import ClientError

from tests.local.support import Account, document, unique

pytestmark = pytest.mark.system


def _list_queues(account: Account, *, allowed: bool) -> None:
    """List queues as a role whose policy allows a role's ARN: its own, or another."""
    role = account.role()
    arn = account.role_arn(role if allowed else unique("another"))
    statement = {"Action": "sqs:ListQueues", "Resource": "*", "Condition": {"ArnEquals": {"aws:PrincipalArn": arn}}}
    account.client("iam").put_role_policy(RoleName=role, PolicyName="role", PolicyDocument=document(statement))
    account.client("sqs", role=role).list_queues()


@pytest.mark.patched
@pytest.mark.aws
def test_principal_arn_is_role_arn(publisher: Account) -> None:
    _list_queues(publisher, allowed=True)

    with pytest.raises(ClientError, match="AccessDenied"):
        _list_queues(publisher, allowed=False)


@pytest.mark.patched
@pytest.mark.aws
def test_root_obeys_resource_policy(publisher: Account) -> None:
    deny = {"Effect": "Deny", "Principal": "*", "Action": "s3:GetObject", "Resource": "{bucket}/denied"}
    s3, bucket = publisher.client("s3"), publisher.bucket(document(deny))
    for key in ("allowed", "denied"):
        s3.put_object(Bucket=bucket, Key=key, Body=b"x")
    s3.get_object(Bucket=bucket, Key="allowed")
    with pytest.raises(ClientError, match="AccessDenied"):
        s3.get_object(Bucket=bucket, Key="denied")


@pytest.mark.patched
@pytest.mark.aws
def test_trust_of_service_allows_no_account(publisher: Account, subscriber: Account) -> None:
    role, lambda_trust = unique("role"), {"Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
    publisher.client("iam").create_role(RoleName=role, AssumeRolePolicyDocument=document(lambda_trust))
    for caller in (publisher, subscriber):
        with pytest.raises(ClientError, match=r"AccessDenied.*sts:AssumeRole"):
            caller.client("sts").assume_role(RoleArn=publisher.role_arn(role), RoleSessionName="caller")


@pytest.mark.patched
@pytest.mark.aws
def test_batch_needs_permission_of_single_request(publisher: Account) -> None:
    url = publisher.client("sqs").create_queue(QueueName=unique("queue"))["QueueUrl"]
    role = publisher.role({"Action": "sqs:DeleteMessage", "Resource": "*"})
    entries = [{"Id": "0", "ReceiptHandle": "unknown"}]
    publisher.client("sqs", role=role).delete_message_batch(QueueUrl=url, Entries=entries)
