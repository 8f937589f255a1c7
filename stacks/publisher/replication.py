"""Replication of payloads by S3."""

from aws_cdk import aws_iam as iam
from aws_cdk import aws_s3 as s3
from constructs import Construct

from stacks.common.findings import ANY_KEY, BELOW_A_PREFIX
from stacks.common.grants import allow
from stacks.cross_account import via_s3
from stacks.deployment.names import PAYLOADS, PublisherNames, ReplicaNames
from stacks.publisher.payload_bucket import PayloadBucket


class Replication(Construct):
    """Replication of `payloads/` from the bucket to all replicas, without deletions."""

    def __init__(self, scope: Construct, id: str, *, names: PublisherNames, bucket: PayloadBucket) -> None:
        super().__init__(scope, id)
        role = iam.Role(
            self,
            "Role",
            description="Assumed by S3 to replicate payloads.",
            # Without aws:SourceArn: it is not documented that S3 sends a source, and replication would fail silently.
            # S3 accepts only a role of the bucket's account, from a caller with iam:PassRole.
            assumed_by=iam.ServicePrincipal("s3.amazonaws.com"),
        )
        allow(
            role,
            sid="FindPayloads",
            actions=["s3:GetReplicationConfiguration", "s3:ListBucket"],
            resources=[bucket.bucket_arn],
        )
        allow(
            role,
            sid="ReadPayloads",
            actions=["s3:GetObjectVersionForReplication", "s3:GetObjectVersionAcl", "s3:GetObjectVersionTagging"],
            resources=[bucket.arn_for_objects(f"{PAYLOADS}*")],
            wildcards=BELOW_A_PREFIX,
        )
        allow(
            role,
            sid="DecryptPayloads",
            actions=["kms:Decrypt"],
            resources=[bucket.key.key_arn],
            conditions={"StringEquals": via_s3(names.payload_bucket)},
        )
        replicas = list(names.replicas.values())
        for replica in replicas:
            _grant_write(role, replica)

        cfn = bucket.node.default_child
        assert isinstance(cfn, s3.CfnBucket)
        cfn.replication_configuration = s3.CfnBucket.ReplicationConfigurationProperty(
            role=role.role_arn, rules=[_rule(replica, priority) for priority, replica in enumerate(replicas, start=1)]
        )


def _grant_write(role: iam.IRole, replica: ReplicaNames) -> None:
    allow(
        role,
        actions=["s3:ReplicateObject", "s3:ReplicateTags"],
        resources=[replica.payloads_arn],
        wildcards=BELOW_A_PREFIX,
    )
    allow(
        role,
        # S3's guide requires Encrypt for replication. S3 creates a bucket key with GenerateDataKey, and its guide
        # requires Decrypt for uploads in parts. The role may read no object of the replica.
        actions=["kms:Decrypt", "kms:Encrypt", "kms:GenerateDataKey"],
        resources=[replica.key_arn_pattern],
        conditions={"StringEquals": via_s3(replica)},
        wildcards=ANY_KEY,
    )


def _rule(replica: ReplicaNames, priority: int) -> s3.CfnBucket.ReplicationRuleProperty:
    return s3.CfnBucket.ReplicationRuleProperty(
        id=replica.replication_rule,
        status="Enabled",
        priority=priority,
        filter=s3.CfnBucket.ReplicationRuleFilterProperty(prefix=PAYLOADS),
        delete_marker_replication=s3.CfnBucket.DeleteMarkerReplicationProperty(status="Disabled"),
        source_selection_criteria=s3.CfnBucket.SourceSelectionCriteriaProperty(
            sse_kms_encrypted_objects=s3.CfnBucket.SseKmsEncryptedObjectsProperty(status="Enabled")
        ),
        destination=s3.CfnBucket.ReplicationDestinationProperty(
            bucket=replica.bucket.arn,
            encryption_configuration=s3.CfnBucket.EncryptionConfigurationProperty(
                replica_kms_key_id=replica.key_alias.arn  # the key's own ARN is unknown in the publisher's stack
            ),
            metrics=s3.CfnBucket.MetricsProperty(status="Enabled"),  # lag and failed operations
        ),
    )
