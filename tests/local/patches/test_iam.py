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


def test_root_obeys_resource_policy(publisher: Account) -> None:
    with pytest.raises(ClientError, match="AccessDenied"):
        _read_denied_object(publisher)


def test_unpatched_root_ignores_resource_policy(unpatched_account: Account) -> None:
    _read_denied_object(unpatched_account)
