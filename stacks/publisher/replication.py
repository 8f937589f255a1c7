"""Replication: S3 copies payloads into the replicas, as a role that can do nothing else."""

from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3
from constructs import Construct

from stacks import cross_account as boundary
from stacks.common.acknowledgement import acknowledge_wildcards
from stacks.common.findings import ANY_KEY, BELOW_A_PREFIX
from stacks.deployment import Deployment, names


class Replication(Construct):
    """From `bucket` to every Region of `publisher.replicas`: what is below `payloads/`, and no deletion."""

    def __init__(self, scope: Construct, id: str, *, deployment: Deployment, bucket: s3.Bucket, key: kms.IKey) -> None:
        super().__init__(scope, id)
        role = iam.Role(
            self,
            "Role",
            description="Taken on by S3 to replicate payloads.",
            # Without a source: S3 is not known to send one, and replication would stop without a word. S3 takes only
            # a role of the bucket's own account, from somebody who may pass it.
            assumed_by=iam.ServicePrincipal("s3.amazonaws.com"),
        )
        payloads = bucket.arn_for_objects(f"{names.PAYLOADS}*")
        role.add_to_policy(
            iam.PolicyStatement(
                sid="FindPayloads",
                actions=["s3:GetReplicationConfiguration", "s3:ListBucket"],
                resources=[bucket.bucket_arn],
            )
        )
        role.add_to_policy(
            iam.PolicyStatement(
                sid="ReadPayloads",
                actions=[
                    "s3:GetObjectVersionForReplication",
                    "s3:GetObjectVersionAcl",
                    "s3:GetObjectVersionTagging",
                ],
                resources=[payloads],
            )
        )
        role.add_to_policy(
            iam.PolicyStatement(
                sid="DecryptPayloads",
                actions=["kms:Decrypt"],
                resources=[key.key_arn],
                conditions={"StringEquals": boundary.through_s3(deployment)},
            )
        )
        acknowledge_wildcards(role, {BELOW_A_PREFIX: [payloads]})
        for region in deployment.publisher.replicas:
            _grant_write(role, deployment, region)

        cfn = bucket.node.default_child
        assert isinstance(cfn, s3.CfnBucket)
        cfn.replication_configuration = s3.CfnBucket.ReplicationConfigurationProperty(
            role=role.role_arn,
            rules=[
                _rule(deployment, region, priority)
                for priority, region in enumerate(deployment.publisher.replicas, start=1)
            ],
        )


def _grant_write(role: iam.Role, deployment: Deployment, region: str) -> None:
    replica = f"{names.payload_bucket_arn(deployment, region)}/{names.PAYLOADS}*"
    any_key = names.any_key_arn(deployment, region)
    role.add_to_policy(iam.PolicyStatement(actions=["s3:ReplicateObject", "s3:ReplicateTags"], resources=[replica]))
    role.add_to_policy(
        iam.PolicyStatement(
            # Encrypt is what replication is documented to need; GenerateDataKey, what a bucket key is made with.
            actions=["kms:Encrypt", "kms:GenerateDataKey"],
            resources=[any_key],
            conditions={"StringEquals": boundary.through_s3(deployment, region)},
        )
    )
    acknowledge_wildcards(role, {BELOW_A_PREFIX: [replica], ANY_KEY: [any_key]})


def _rule(deployment: Deployment, region: str, priority: int) -> s3.CfnBucket.ReplicationRuleProperty:
    return s3.CfnBucket.ReplicationRuleProperty(
        id=names.replication_rule(region),
        status="Enabled",
        priority=priority,
        filter=s3.CfnBucket.ReplicationRuleFilterProperty(prefix=names.PAYLOADS),
        delete_marker_replication=s3.CfnBucket.DeleteMarkerReplicationProperty(status="Disabled"),
        source_selection_criteria=s3.CfnBucket.SourceSelectionCriteriaProperty(
            sse_kms_encrypted_objects=s3.CfnBucket.SseKmsEncryptedObjectsProperty(status="Enabled")
        ),
        destination=s3.CfnBucket.ReplicationDestinationProperty(
            bucket=names.payload_bucket_arn(deployment, region),
            encryption_configuration=s3.CfnBucket.EncryptionConfigurationProperty(
                replica_kms_key_id=names.replica_key_alias_arn(deployment, region)
            ),
            metrics=s3.CfnBucket.MetricsProperty(status="Enabled"),  # how far it lags, and what failed
        ),
    )
