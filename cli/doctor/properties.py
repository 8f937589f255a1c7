"""The places of CloudFormation's properties in the responses to AWS's read requests, type by type.

Paths are JMESPath. Other properties are not compared: they cannot be changed after the creation, or are shown to people
only. `cli.doctor.policies` compares policies.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

ANY: Final = object()
"""The default of a property that AWS sets itself. It is compared only if the template has it."""


@dataclass(frozen=True)
class At:
    """Where a property is in a response, if not under its own name."""

    path: str = ""
    """Below the root of the request. Without one, the property's name in any case."""
    default: Any = None
    """The value in AWS if the template has none. None: absent."""
    here: str = ""
    """Where the property is in the template, if not under its own name."""
    effect: str = ""
    """The consequence of another value, and the remedy. It can name `{physical}`, `{name}` and `{region}`."""


@dataclass(frozen=True)
class Read:
    """A read request, and the properties in its response.

    Arguments and root can name `{physical}` (the physical id), `{name}`, `{account}` and properties of the template.
    """

    request: str
    """The client and its method, such as `sqs.get_queue_attributes`."""
    arguments: Mapping[str, Any]
    root: str = "@"
    """The part of the response with the properties."""
    properties: Mapping[str, Any] = field(default_factory=dict)
    """By name: an `At`, or the default of a property that is under its own name."""

    def places(self) -> Mapping[str, At]:
        """Return the place of each property."""
        return {name: each if isinstance(each, At) else At(default=each) for name, each in self.properties.items()}


def _absent(names: str, default: Any = None) -> dict[str, Any]:
    return dict.fromkeys(names.split(), default)


def _bucket(operation: str, root: str = "@", **properties: Any) -> Read:
    """Return a request to a bucket. The owner is checked, because another account can take a deleted bucket's name."""
    return Read(f"s3.{operation}", {"Bucket": "{physical}", "ExpectedBucketOwner": "{account}"}, root, properties)


_LIFECYCLE = (
    "{Rules: Rules[].{Id: ID, Status: Status, Prefix: Filter.Prefix || Filter.And.Prefix || Prefix,"
    " ObjectSizeGreaterThan: Filter.ObjectSizeGreaterThan || Filter.And.ObjectSizeGreaterThan,"
    " ObjectSizeLessThan: Filter.ObjectSizeLessThan || Filter.And.ObjectSizeLessThan,"
    " TagFilters: Filter.And.Tags || Filter.Tag, ExpirationInDays: Expiration.Days, ExpirationDate: Expiration.Date,"
    " ExpiredObjectDeleteMarker: Expiration.ExpiredObjectDeleteMarker,"
    " NoncurrentVersionExpiration: NoncurrentVersionExpiration,"
    " NoncurrentVersionTransitions: NoncurrentVersionTransitions,"
    " AbortIncompleteMultipartUpload: AbortIncompleteMultipartUpload,"
    " Transitions: Transitions[].{StorageClass: StorageClass, TransitionInDays: Days}}}"
)
_ENCRYPTION = (
    "{ServerSideEncryptionConfiguration: Rules[].{BucketKeyEnabled: BucketKeyEnabled,"
    " ServerSideEncryptionByDefault: ApplyServerSideEncryptionByDefault}}"
)
# An empty object means that the bucket sends events.
_NOTIFICATION = (
    "{EventBridgeConfiguration: EventBridgeConfiguration != `null` && {EventBridgeEnabled: `true`} || `null`,"
    " TopicConfigurations: TopicConfigurations, QueueConfigurations: QueueConfigurations,"
    " LambdaConfigurations: LambdaFunctionConfigurations}"
)
_DELIVERY_LOG = " | ".join(
    (
        "["
        + ", ".join(
            f"{{Protocol: '{protocol}', SuccessFeedbackRoleArn: {name}SuccessFeedbackRoleArn, "
            f"FailureFeedbackRoleArn: {name}FailureFeedbackRoleArn, "
            f"SuccessFeedbackSampleRate: {name}SuccessFeedbackSampleRate}}"
            for protocol, name in {"http/s": "HTTP", "lambda": "Lambda", "sqs": "SQS"}.items()
        )
        + "]",
        "[?SuccessFeedbackRoleArn || FailureFeedbackRoleArn]",
    )
)
_METRICS = "Metrics[].{Id: Id, Expression: Expression, Label: Label, MetricStat: MetricStat, Period: Period}"
"""Without `ReturnData`, which AWS returns and a template can leave out."""
_NETWORK = "VpcConfig.{SubnetIds: SubnetIds, SecurityGroupIds: SecurityGroupIds}"
_EGRESS = (
    "IpPermissionsEgress[].{IpProtocol: IpProtocol, FromPort: FromPort, ToPort: ToPort, CidrIp: IpRanges[0].CidrIp,"
    " Description: IpRanges[0].Description, Ranges: IpRanges[1:], Groups: UserIdGroupPairs, Lists: PrefixListIds,"
    " Ipv6: Ipv6Ranges}"
)
_ENVIRONMENT = (
    "environment.{ComputeType: computeType, Image: image, ImagePullCredentialsType: imagePullCredentialsType,"
    " PrivilegedMode: privilegedMode, Type: type, EnvironmentVariables: environmentVariables}"
)
_ROUTE = "RouteTables[0].Routes[?DestinationCidrBlock=='{DestinationCidrBlock}'] | [0]"
_ASSOCIATION = "RouteTables[0].Associations[?SubnetId=='{SubnetId}'] | [0]"

# The first request of a type shows whether the resource exists. In the others, a setting can be absent.
TABLE: Mapping[str, Sequence[Read]] = {
    "AWS::CloudWatch::Alarm": [
        Read(
            "cloudwatch.describe_alarms",
            {"AlarmNames": ["{physical}"]},
            "MetricAlarms[0]",
            {
                **_absent("AlarmActions OKActions InsufficientDataActions ComparisonOperator Dimensions MetricName"),
                **_absent("Namespace Period Statistic Threshold EvaluationPeriods"),
                **_absent("DatapointsToAlarm TreatMissingData", ANY),
                "ActionsEnabled": At(
                    default=True,
                    effect="Without actions it sends no notification. Run: aws cloudwatch enable-alarm-actions "
                    "--region {region} --alarm-names {physical}",
                ),
                "Metrics": At(_METRICS, here=_METRICS),
            },
        )
    ],
    "AWS::CodeBuild::Project": [
        Read(
            "codebuild.batch_get_projects",
            {"names": ["{physical}"]},
            "projects[0]",
            {
                **_absent("EncryptionKey ServiceRole TimeoutInMinutes QueuedTimeoutInMinutes", ANY),
                "Artifacts": At("artifacts.{Type: type}"),
                "Cache": At("cache.{Type: type}"),
                "Environment": At(_ENVIRONMENT),
                "LogsConfig": At("logsConfig.cloudWatchLogs", here="LogsConfig.CloudWatchLogs"),
                "Source": At("source.{BuildSpec: buildspec, Location: location, Type: type}"),
            },
        )
    ],
    "AWS::DynamoDB::GlobalTable": [
        Read(
            "dynamodb.describe_table",
            {"TableName": "{physical}"},
            "Table",
            {
                **_absent("AttributeDefinitions KeySchema"),
                "BillingMode": At("BillingModeSummary.BillingMode", default="PROVISIONED"),
                "DeletionProtectionEnabled": At(here="Replicas[0].DeletionProtectionEnabled"),
                "KMSMasterKeyId": At(
                    "SSEDescription.KMSMasterKeyArn", here="Replicas[0].SSESpecification.KMSMasterKeyId", default=ANY
                ),
            },
        ),
        Read(
            "dynamodb.describe_time_to_live",
            {"TableName": "{physical}"},
            "TimeToLiveDescription",
            {
                "TimeToLiveSpecification": At(
                    "{AttributeName: AttributeName, Enabled: contains(['ENABLED', 'ENABLING'], TimeToLiveStatus)}"
                )
            },
        ),
        Read(
            "dynamodb.describe_continuous_backups",
            {"TableName": "{physical}"},
            "ContinuousBackupsDescription.PointInTimeRecoveryDescription",
            {
                "PointInTimeRecoveryEnabled": At(
                    "PointInTimeRecoveryStatus == 'ENABLED'",
                    here="Replicas[0].PointInTimeRecoverySpecification.PointInTimeRecoveryEnabled",
                )
            },
        ),
    ],
    "AWS::EC2::FlowLog": [Read("ec2.describe_flow_logs", {"FlowLogIds": ["{physical}"]}, "FlowLogs[0]")],
    "AWS::EC2::InternetGateway": [
        Read("ec2.describe_internet_gateways", {"InternetGatewayIds": ["{physical}"]}, "InternetGateways[0]")
    ],
    "AWS::EC2::Route": [
        Read(
            "ec2.describe_route_tables",
            {"RouteTableIds": ["{RouteTableId}"]},
            _ROUTE,
            {"GatewayId": None, "State": "active"},
        )
    ],
    "AWS::EC2::RouteTable": [
        Read("ec2.describe_route_tables", {"RouteTableIds": ["{physical}"]}, "RouteTables[0]", {"VpcId": None})
    ],
    "AWS::EC2::SecurityGroup": [
        Read(
            "ec2.describe_security_groups",
            {"GroupIds": ["{physical}"]},
            "SecurityGroups[0]",
            {"SecurityGroupEgress": At(_EGRESS)},
        )
    ],
    "AWS::EC2::Subnet": [
        Read("ec2.describe_subnets", {"SubnetIds": ["{physical}"]}, "Subnets[0]", {"MapPublicIpOnLaunch": None})
    ],
    "AWS::EC2::SubnetRouteTableAssociation": [
        Read("ec2.describe_route_tables", {"RouteTableIds": ["{RouteTableId}"]}, _ASSOCIATION)
    ],
    "AWS::EC2::VPC": [Read("ec2.describe_vpcs", {"VpcIds": ["{physical}"]}, "Vpcs[0]", {"InstanceTenancy": "default"})],
    "AWS::EC2::VPCEndpoint": [
        Read(
            "ec2.describe_vpc_endpoints",
            {"VpcEndpointIds": ["{physical}"]},
            "VpcEndpoints[0]",
            {**_absent("PrivateDnsEnabled RouteTableIds SubnetIds"), "SecurityGroupIds": At("Groups[].GroupId")},
        )
    ],
    "AWS::ECR::Repository": [
        Read(
            "ecr.describe_repositories",
            {"registryId": "{account}", "repositoryNames": ["{physical}"]},
            "repositories[0]",
            {"ImageTagMutability": "MUTABLE", "ImageScanningConfiguration": None, "EncryptionConfiguration": ANY},
        ),
        Read(
            "ecr.get_lifecycle_policy",
            {"registryId": "{account}", "repositoryName": "{physical}"},
            properties={"LifecyclePolicy": At("lifecyclePolicyText", here="LifecyclePolicy.LifecyclePolicyText")},
        ),
    ],
    "AWS::ECS::Cluster": [
        Read(
            "ecs.describe_clusters",
            {"clusters": ["{physical}"], "include": ["SETTINGS"]},
            "clusters[0]",
            {"ClusterSettings": At("settings", default=ANY), "Status": "ACTIVE"},
        )
    ],
    "AWS::ECS::TaskDefinition": [
        Read(
            "ecs.describe_task_definition",
            {"taskDefinition": "{physical}"},
            "taskDefinition",
            {"Status": At(default="ACTIVE", effect="No task can start. Deploy its stack with --revert-drift.")},
        )
    ],
    "AWS::Events::Archive": [
        Read(
            "events.describe_archive",
            {"ArchiveName": "{physical}"},
            properties={"EventPattern": None, "RetentionDays": None, "SourceArn": At("EventSourceArn")},
        )
    ],
    "AWS::Events::EventBus": [
        Read("events.describe_event_bus", {"Name": "{name}"}, properties=_absent("DeadLetterConfig KmsKeyIdentifier"))
    ],
    "AWS::Events::Rule": [
        Read(
            "events.describe_rule",
            {"Name": "{name}", "EventBusName": "{bus}"},
            properties={
                **_absent("EventPattern RoleArn ScheduleExpression"),
                "State": At(
                    default="ENABLED",
                    effect="Its events go nowhere. Run: aws events enable-rule --region {region} --event-bus-name "
                    "{bus} --name {name}",
                ),
            },
        ),
        Read("events.list_targets_by_rule", {"Rule": "{name}", "EventBusName": "{bus}"}, properties={"Targets": None}),
    ],
    "AWS::IAM::ManagedPolicy": [Read("iam.get_policy", {"PolicyArn": "{physical}"}, "Policy")],
    "AWS::IAM::Role": [
        Read(
            "iam.get_role",
            {"RoleName": "{physical}"},
            "Role",
            {"MaxSessionDuration": 3600, "PermissionsBoundary": At("PermissionsBoundary.PermissionsBoundaryArn")},
        ),
        Read(
            "iam.list_attached_role_policies",
            {"RoleName": "{physical}"},
            properties={"ManagedPolicyArns": At("AttachedPolicies[].PolicyArn")},
        ),
    ],
    "AWS::KMS::Alias": [
        Read(
            "kms.describe_key",
            {"KeyId": "{physical}"},
            "KeyMetadata",
            {"TargetKeyId": At("Arn", effect="The alias is of another key.")},
        )
    ],
    "AWS::KMS::Key": [
        Read(
            "kms.describe_key",
            {"KeyId": "{physical}"},
            "KeyMetadata",
            {
                "KeyState": At(
                    default="Enabled",
                    effect="Its data cannot be read. Run, after cancel-key-deletion if it is pending: aws kms "
                    "enable-key --region {region} --key-id {physical}",
                )
            },
        ),
        Read(
            "kms.get_key_rotation_status",
            {"KeyId": "{physical}"},
            properties={"EnableKeyRotation": At("KeyRotationEnabled")},
        ),
    ],
    "AWS::Lambda::EventInvokeConfig": [
        Read(
            "lambda.get_function_event_invoke_config",
            {"FunctionName": "{FunctionName}", "Qualifier": "{Qualifier}"},
            properties={**_absent("DestinationConfig MaximumEventAgeInSeconds MaximumRetryAttempts", ANY)},
        )
    ],
    "AWS::Lambda::EventSourceMapping": [
        Read(
            "lambda.get_event_source_mapping",
            {"UUID": "{physical}"},
            properties={
                "BatchSize": 10,
                "Enabled": At(
                    "contains(['Disabled', 'Disabling'], State) == `false`",
                    default=True,
                    effect="The function reads no message. Run: aws lambda update-event-source-mapping --region "
                    "{region} --enabled --uuid {physical}",
                ),
                "FunctionName": At("FunctionArn"),
                "FilterCriteria": At("FilterCriteria.{Filters: Filters}"),
                **_absent("FunctionResponseTypes EventSourceArn ScalingConfig"),
                "MaximumBatchingWindowInSeconds": ANY,
            },
        )
    ],
    "AWS::Lambda::Function": [
        Read(
            "lambda.get_function_configuration",
            {"FunctionName": "{physical}"},
            properties={
                "Architectures": ["x86_64"],
                "DeadLetterConfig": None,
                "Environment": At("Environment.{Variables: Variables}"),
                "EphemeralStorage": {"Size": 512},
                **_absent("Handler Role Runtime"),
                "KmsKeyArn": None,
                "LastUpdateStatus": At(
                    "LastUpdateStatus == 'Failed' && LastUpdateStatus || `null`",
                    effect="Its last change failed. `aws lambda get-function-configuration --region {region} "
                    "--function-name {physical}` shows the reason.",
                ),
                "Layers": At("Layers[].Arn"),
                "LoggingConfig": ANY,
                "MemorySize": 128,
                "State": At(
                    "State == 'Failed' && State || `null`",
                    effect="It cannot run. `aws lambda get-function-configuration --region {region} --function-name "
                    "{physical}` shows the reason.",
                ),
                "Timeout": 3,
                "TracingConfig": {"Mode": "PassThrough"},
                "VpcConfig": At(_NETWORK, here=_NETWORK),
            },
        ),
        Read(
            "lambda.get_function_concurrency",
            {"FunctionName": "{physical}"},
            properties={
                "ReservedConcurrentExecutions": At(
                    effect="With 0 the function never runs. If the template has none, run: aws lambda "
                    "delete-function-concurrency --region {region} --function-name {physical}"
                )
            },
        ),
    ],
    "AWS::Logs::LogGroup": [
        Read(
            "logs.describe_log_groups",
            {"logGroupNamePrefix": "{physical}"},
            "logGroups[?logGroupName=='{physical}'] | [0]",
            _absent("KmsKeyId RetentionInDays"),
        )
    ],
    "AWS::S3::Bucket": [
        _bucket("get_bucket_versioning", VersioningConfiguration=At("{Status: Status}")),
        _bucket("get_bucket_encryption", "ServerSideEncryptionConfiguration", BucketEncryption=At(_ENCRYPTION)),
        _bucket("get_bucket_lifecycle_configuration", LifecycleConfiguration=At(_LIFECYCLE)),
        _bucket(
            "get_bucket_logging",
            "LoggingEnabled",
            LoggingConfiguration=At("{DestinationBucketName: TargetBucket, LogFilePrefix: TargetPrefix}"),
        ),
        _bucket(
            "get_bucket_notification_configuration",
            NotificationConfiguration=At(
                _NOTIFICATION, effect="Without EventBridge, uploads are not published, and nothing reports it."
            ),
        ),
        _bucket("get_bucket_ownership_controls", "OwnershipControls", OwnershipControls=At("{Rules: Rules}")),
        _bucket("get_bucket_replication", ReplicationConfiguration=None),
        _bucket("get_public_access_block", PublicAccessBlockConfiguration=None),
    ],
    "AWS::SNS::Subscription": [
        Read(
            "sns.get_subscription_attributes",
            {"SubscriptionArn": "{physical}"},
            "Attributes",
            {
                **_absent("DeliveryPolicy FilterPolicy RawMessageDelivery RedrivePolicy"),
                "FilterPolicyScope": ANY,
                "PendingConfirmation": At(effect="The endpoint has not confirmed it, so that no message arrives."),
            },
        )
    ],
    "AWS::SNS::Topic": [
        Read(
            "sns.get_topic_attributes",
            {"TopicArn": "{physical}"},
            "Attributes",
            {
                "DeliveryStatusLogging": At(_DELIVERY_LOG),
                "KmsMasterKeyId": None,
                **_absent("MaximumMessageSize TracingConfig", ANY),
                "SignatureVersion": "1",
            },
        )
    ],
    "AWS::SQS::Queue": [
        Read(
            "sqs.get_queue_attributes",
            {"QueueUrl": "{physical}", "AttributeNames": ["All"]},
            "Attributes",
            {
                "DelaySeconds": 0,
                "KmsMasterKeyId": None,
                "MaximumMessageSize": ANY,
                "MessageRetentionPeriod": 345_600,
                "ReceiveMessageWaitTimeSeconds": 0,
                **_absent("RedriveAllowPolicy RedrivePolicy"),
                "SqsManagedSseEnabled": ANY,
                "VisibilityTimeout": 30,
            },
        )
    ],
    "AWS::SSM::Parameter": [Read("ssm.get_parameter", {"Name": "{physical}"}, "Parameter", _absent("Type Value"))],
    "AWS::StepFunctions::StateMachine": [
        Read(
            "stepfunctions.describe_state_machine",
            {"stateMachineArn": "{physical}"},
            properties={
                "DefinitionString": At("definition"),
                "LoggingConfiguration": {"Level": "OFF"},
                "RoleArn": None,
                "TracingConfiguration": None,
            },
        )
    ],
}
