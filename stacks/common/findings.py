"""Findings of cdk-nag that stay in more than one stack, each with its reason; for `stacks.common.acknowledgement`.

Wildcards of actions are those of CDK's grants, all inside an account. That they let a role do its job and no more is
proved by `tests/policies`.
"""

NO_ACCESS_LOG = {
    "AwsSolutions-S1": "CloudTrail's data events tell who reads which object, where the account's owner wants to know; "
    "access logs would need a bucket of their own, with readers of its own."
}
_WILDCARDS = {
    "s3:GetObject*": "CDK's grant to read: objects below one prefix.",
    "s3:GetBucket*": "CDK's grant to read: settings of one bucket.",
    "s3:List*": "CDK's grant to read: names of objects in one bucket.",
    "s3:Abort*": "CDK's grant to write: stands for AbortMultipartUpload, below one prefix.",
    "s3:DeleteObject*": "CDK's grant to delete: objects and their versions below one prefix.",
    "kms:GenerateDataKey*": "CDK's grant to encrypt, with one key.",
    "kms:ReEncrypt*": "CDK's grant to encrypt, with one key.",
}


def _of_grants(*prefixes: str) -> dict[str, str]:
    return {
        f"AwsSolutions-IAM5[Action::{action}]": reason
        for action, reason in _WILDCARDS.items()
        if action.startswith(prefixes)
    }


GRANT_READ = _of_grants("s3:Get", "s3:List")
GRANT_READ_WRITE = _of_grants("s3:Get", "s3:List", "s3:Abort")
GRANT_KEY = _of_grants("kms:")
GRANT_WRITE_ENCRYPTED = _of_grants("s3:Abort", "kms:")
GRANT_PUBLISH = _of_grants("s3:", "kms:")
BELOW_A_PREFIX = "Objects have no names before they are there; their prefix is all that can be said."
ANY_KEY = (
    "A key's ARN cannot be known in another account: conditions narrow it to the payload bucket through S3, and the "
    "key's own policy decides."
)
