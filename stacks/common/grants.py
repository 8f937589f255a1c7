"""CDK's grants inside an account, with acknowledgements of the cdk-nag findings that they cause.

Each function takes the resource first and the role second. Object grants cover one prefix, such as `payloads/`, and the
bucket's key, if the bucket has one.
"""

from collections.abc import Mapping, Sequence

from aws_cdk import aws_ecr as ecr
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_s3 as s3

from stacks.common.findings import BELOW_A_PREFIX, WHOLE_REGISTRY, acknowledge, acknowledge_wildcards

_READ = {
    "s3:GetObject*": "CDK's grant to read: objects below one prefix.",
    "s3:GetBucket*": "CDK's grant to read: settings of one bucket.",
    "s3:List*": "CDK's grant to read: names of objects in one bucket.",
}
_PUT = {"s3:Abort*": "CDK's grant to write: AbortMultipartUpload, below one prefix."}
_DELETE = {"s3:DeleteObject*": "CDK's grant to delete: objects and their versions below one prefix."}
_ENCRYPT = {
    "kms:GenerateDataKey*": "CDK's grant to encrypt, with one key.",
    "kms:ReEncrypt*": "CDK's grant to encrypt, with one key.",
}


def grant_read(bucket: s3.IBucket, role: iam.IRole, prefix: str) -> None:
    """Allow the role to read the objects below a prefix, and to list the bucket."""
    bucket.grant_read(role, f"{prefix}*")
    _acknowledge_objects(bucket, role, prefix, _READ)


def grant_put(bucket: s3.IBucket, role: iam.IRole, prefix: str) -> None:
    """Allow the role to write objects below a prefix."""
    bucket.grant_put(role, f"{prefix}*")
    _acknowledge_objects(bucket, role, prefix, _PUT | (_ENCRYPT if bucket.encryption_key else {}))


def grant_delete(bucket: s3.IBucket, role: iam.IRole, prefix: str) -> None:
    """Allow the role to delete the objects below a prefix, and their versions."""
    bucket.grant_delete(role, f"{prefix}*")
    _acknowledge_objects(bucket, role, prefix, _DELETE)


def grant_encrypt_decrypt(key: kms.IKey, role: iam.IRole) -> None:
    """Allow the role to use the key."""
    key.grant_encrypt_decrypt(role)
    _acknowledge_actions(role, _ENCRYPT)


def grant_invoke(function: lambda_.IFunction, role: iam.IRole) -> None:
    """Allow the role to invoke the function."""
    function.grant_invoke(role)
    acknowledge_wildcards(
        role, {"CDK's grant to invoke: all versions of one function.": [f"{function.function_arn}:*"]}
    )


def grant_pull(repository: ecr.IRepository, role: iam.IRole) -> None:
    """Allow the role to pull images."""
    repository.grant_pull(role)
    acknowledge_wildcards(role, {WHOLE_REGISTRY: ["*"]})


def grant_pull_push(repository: ecr.IRepository, role: iam.IRole) -> None:
    """Allow the role to pull and push images."""
    repository.grant_pull_push(role)
    acknowledge_wildcards(role, {WHOLE_REGISTRY: ["*"]})


def grant_pull_from(repository_arn: str, role: iam.IRole) -> None:
    """Allow the role to pull images of a repository. The policy of another account's must also allow the role."""
    pull = ("ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer")
    allow(role, actions=pull, resources=[repository_arn])
    allow(role, actions=["ecr:GetAuthorizationToken"], resources=["*"], wildcards=WHOLE_REGISTRY)


def deny(sid: str, actions: Sequence[str], resources: Sequence[str], **conditions: object) -> iam.PolicyStatement:
    """Return a resource policy's statement that denies requests to all principals, administrators included."""
    return iam.PolicyStatement(
        sid=sid,
        effect=iam.Effect.DENY,
        principals=[iam.AnyPrincipal()],
        actions=[*actions],
        resources=[*resources],
        conditions=conditions,
    )


def allow(
    role: iam.IRole,
    *,
    actions: Sequence[str],
    resources: Sequence[str],
    sid: str | None = None,
    conditions: Mapping[str, Mapping[str, object]] | None = None,
    wildcards: str | None = None,
) -> None:
    """Add a statement to the role's policy. `wildcards` is the reason for asterisks in `resources`."""
    role.add_to_principal_policy(
        iam.PolicyStatement(sid=sid, actions=[*actions], resources=[*resources], conditions=conditions)
    )
    if wildcards:
        acknowledge_wildcards(role, {wildcards: resources})


def _acknowledge_objects(bucket: s3.IBucket, role: iam.IRole, prefix: str, actions: Mapping[str, str]) -> None:
    _acknowledge_actions(role, actions)
    acknowledge_wildcards(role, {BELOW_A_PREFIX: [bucket.arn_for_objects(f"{prefix}*")]})


def _acknowledge_actions(role: iam.IRole, reasons: Mapping[str, str]) -> None:
    acknowledge(role, {f"AwsSolutions-IAM5[Action::{action}]": reason for action, reason in reasons.items()})
