"""IAM's gaps: who a caller is in a policy's eyes."""

import pytest
from botocore.exceptions import ClientError

from local.accounts import Accounts
from tests.local.support import PUBLISHER, Account, document, unique

pytestmark = pytest.mark.system


def _list_queues_as_pinned(account: Account, *, pinned: bool) -> None:
    role = account.role()
    pin = account.role_arn(role if pinned else unique("another"))
    statement = {"Action": "sqs:ListQueues", "Resource": "*", "Condition": {"ArnEquals": {"aws:PrincipalArn": pin}}}
    account.client("iam").put_role_policy(RoleName=role, PolicyName="pin", PolicyDocument=document(statement))
    account.client("sqs", role=role).list_queues()


def test_principal_arn_is_the_roles(publisher: Account) -> None:
    _list_queues_as_pinned(publisher, pinned=True)

    with pytest.raises(ClientError, match="AccessDenied"):
        _list_queues_as_pinned(publisher, pinned=False)


def test_gap_principal_arn(bare: Accounts) -> None:
    with pytest.raises(ClientError, match="AccessDenied"):
        _list_queues_as_pinned(Account(bare, PUBLISHER), pinned=True)


def _read_own_denied_object(account: Account) -> None:
    bucket = account.bucket()
    account.client("s3").put_object(Bucket=bucket, Key="open", Body=b"x")
    account.client("s3").put_object(Bucket=bucket, Key="shut", Body=b"x")
    deny = {"Effect": "Deny", "Principal": "*", "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{bucket}/shut"}
    account.client("s3").put_bucket_policy(Bucket=bucket, Policy=document(deny))
    account.client("s3").get_object(Bucket=bucket, Key="open")
    account.client("s3").get_object(Bucket=bucket, Key="shut")


def test_root_obeys_a_resource_policys_deny(publisher: Account) -> None:
    with pytest.raises(ClientError, match="AccessDenied"):
        _read_own_denied_object(publisher)


def test_gap_root_is_above_resource_policies(bare: Accounts) -> None:
    _read_own_denied_object(Account(bare, PUBLISHER))
