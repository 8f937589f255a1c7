"""Patches of IAM."""

import pytest
from botocore.exceptions import ClientError

from local.accounts import Accounts
from tests.local.support import OTHER, Account, document, unique

pytestmark = pytest.mark.system


def _list_queues(account: Account, *, allowed: bool) -> None:
    """List queues as a role whose policy allows a role's ARN: its own, or another."""
    role = account.role()
    arn = account.role_arn(role if allowed else unique("another"))
    statement = {"Action": "sqs:ListQueues", "Resource": "*", "Condition": {"ArnEquals": {"aws:PrincipalArn": arn}}}
    account.client("iam").put_role_policy(RoleName=role, PolicyName="role", PolicyDocument=document(statement))
    account.client("sqs", role=role).list_queues()


@pytest.mark.aws
def test_principal_arn_is_role_arn(publisher: Account) -> None:
    _list_queues(publisher, allowed=True)

    with pytest.raises(ClientError, match="AccessDenied"):
        _list_queues(publisher, allowed=False)


def test_unpatched_principal_arn_is_not_role_arn(unpatched_account: Account) -> None:
    with pytest.raises(ClientError, match="AccessDenied"):
        _list_queues(unpatched_account, allowed=True)


def _read_denied_object(account: Account) -> None:
    """Read an object that the account's own bucket policy denies to all principals."""
    bucket = account.bucket()
    account.client("s3").put_object(Bucket=bucket, Key="allowed", Body=b"x")
    account.client("s3").put_object(Bucket=bucket, Key="denied", Body=b"x")
    deny = {"Effect": "Deny", "Principal": "*", "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{bucket}/denied"}
    account.client("s3").put_bucket_policy(Bucket=bucket, Policy=document(deny))
    account.client("s3").get_object(Bucket=bucket, Key="allowed")
    account.client("s3").get_object(Bucket=bucket, Key="denied")


@pytest.mark.aws
def test_root_obeys_resource_policy(publisher: Account) -> None:
    with pytest.raises(ClientError, match="AccessDenied"):
        _read_denied_object(publisher)


def test_unpatched_root_ignores_resource_policy(unpatched_account: Account) -> None:
    _read_denied_object(unpatched_account)


def _assume_role_of_service(account: Account, caller: Account) -> None:
    role, lambda_trust = unique("role"), {"Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
    account.client("iam").create_role(RoleName=role, AssumeRolePolicyDocument=document(lambda_trust))
    caller.client("sts").assume_role(RoleArn=account.role_arn(role), RoleSessionName="caller")


@pytest.mark.aws
def test_trust_of_service_allows_no_account(publisher: Account, subscriber: Account) -> None:
    for caller in (publisher, subscriber):
        with pytest.raises(ClientError, match=r"AccessDenied.*sts:AssumeRole"):
            _assume_role_of_service(publisher, caller)


def test_unpatched_trust_of_service_allows_every_root(unpatched_account: Account, unpatched: Accounts) -> None:
    _assume_role_of_service(unpatched_account, Account(unpatched, OTHER))


def _delete_batch(account: Account) -> None:
    """Delete a batch as a role whose policy allows to delete messages."""
    role, url = account.role(), account.client("sqs").create_queue(QueueName=unique("queue"))["QueueUrl"]
    statement = {"Action": "sqs:DeleteMessage", "Resource": "*"}
    account.client("iam").put_role_policy(RoleName=role, PolicyName="role", PolicyDocument=document(statement))
    entries = [{"Id": "0", "ReceiptHandle": "unknown"}]
    account.client("sqs", role=role).delete_message_batch(QueueUrl=url, Entries=entries)


@pytest.mark.aws
def test_batch_needs_permission_of_single_request(publisher: Account) -> None:
    _delete_batch(publisher)


def test_unpatched_batch_needs_own_permission(unpatched_account: Account) -> None:
    with pytest.raises(ClientError, match="DeleteMessageBatch"):
        _delete_batch(unpatched_account)
