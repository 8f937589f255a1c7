"""What each property of a resource must be, type by type.

A property that is not in the table is an error, and so is one that is in the table and not in the template. A value is
a constant, one that the statement of intent gives for each resource, or free with a reason.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from access.assembly import unique
from access.inventory import Inventory
from access.template import Resources


class Given(Enum):
    """A value that the statement of intent gives for each resource."""

    ALWAYS = "always"
    SOMETIMES = "sometimes"
    """Without a value in the intent, the property must be absent."""


@dataclass(frozen=True)
class Free:
    """Any value of a type. `reason`: why it gives no access and changes no route of a message."""

    reason: str
    type: type | tuple[type, ...] = str
    pattern: str = ""
    optional: bool = False

    def problems(self, value: Any, path: str) -> Iterator[str]:
        """Yield a problem if the value has another type or another form."""
        if not isinstance(value, self.type) or (self.pattern and not re.fullmatch(self.pattern, str(value))):
            yield f"{path} is {_short(value)}, which has another form"


@dataclass(frozen=True)
class Json:
    """A text with a value as JSON."""

    value: Any

    def problems(self, value: Any, path: str) -> Iterator[str]:
        """Yield the differences of the parsed text."""
        try:
            parsed = json.loads(value, object_pairs_hook=unique)
        except (TypeError, ValueError) as error:
            yield f"{path} is not JSON: {error}"
        else:
            yield from differences(self.value, parsed, path)


@dataclass(frozen=True)
class Dashboard:
    """The text of a dashboard without widgets that call functions."""

    reason: str = "graphs and texts, shown to people only"

    def problems(self, value: Any, path: str) -> Iterator[str]:
        """Yield the widgets of other kinds."""
        try:
            kinds = {widget["type"] for widget in json.loads(value)["widgets"]}
        except (TypeError, ValueError, KeyError):
            yield f"{path} is not the text of a dashboard"
        else:
            yield from (
                f"{path} has a widget of the kind {kind}" for kind in kinds - {"text", "metric", "log", "alarm"}
            )


@dataclass(frozen=True)
class Lifecycle:
    """The lifecycle of a bucket's objects. `days`: no object expires earlier. None: none expires."""

    days: int | None

    def problems(self, value: Any, path: str) -> Iterator[str]:
        """Yield the rules that delete earlier, or move objects to a storage class that cannot be read at once.

        With `days`, also the absence of a rule that expires objects then.
        """
        rules: Any = value["Rules"] if isinstance(value, dict) and set(value) == {"Rules"} else [None]
        active = [rule for rule in rules if isinstance(rule, dict) and rule.get("Status") == "Enabled"]
        if self.days and self.days not in [rule.get("ExpirationInDays") for rule in active]:
            yield f"{path} expires no object after {self.days} days"
        for rule in rules:
            known = isinstance(rule, dict) and set(rule) <= _LIFECYCLE_KEYS
            at_once = known and all(to.get("StorageClass") == "GLACIER_IR" for to in rule.get("Transitions", ()))
            if not at_once or rule.get("ExpirationInDays", _NEVER) < (self.days or _NEVER):
                yield f"{path} has the rule {_short(rule)}"


_NEVER = 10**9
_LIFECYCLE_KEYS = {
    *("Id", "Status", "Prefix", "ExpirationInDays", "ExpiredObjectDeleteMarker"),
    *("NoncurrentVersionExpiration", "AbortIncompleteMultipartUpload", "Transitions", "ObjectSizeGreaterThan"),
}


GIVEN, SOMETIMES = Given.ALWAYS, Given.SOMETIMES
PROVED = Free("a policy, or its resource: the prover compares it with the intent", (dict, list, str))
TEXT = Free("shown to people only")
LIMIT = Free("a limit: it costs or delays, and gives no access", int, r"[1-9][0-9]*")
SETTINGS = Free("lifetimes and retries: they cost or delay, and give no access", (dict, list))
TAGS = Free("no policy depends on a tag, except on those that SageMaker sets", (list, dict), optional=True)

Row = Mapping[str, Any]
TABLE: Mapping[str, Row] = {
    "AWS::Budgets::Budget": {"Budget": GIVEN, "NotificationsWithSubscribers": GIVEN, "ResourceTags": TAGS},
    "AWS::CloudWatch::Alarm": {
        **dict.fromkeys(("AlarmActions", "AlarmName", "EvaluationPeriods", "Threshold"), GIVEN),
        **dict.fromkeys(("Dimensions", "MetricName", "Namespace", "Period", "Statistic"), SOMETIMES),
        **dict.fromkeys(("DatapointsToAlarm", "Metrics"), SOMETIMES),
        "AlarmDescription": TEXT,
        "ComparisonOperator": "GreaterThanOrEqualToThreshold",
        "TreatMissingData": "notBreaching",
    },
    "AWS::CloudWatch::Dashboard": {"DashboardBody": Dashboard(), "DashboardName": GIVEN},
    "AWS::CodeBuild::Project": {
        "Artifacts": {"Type": "NO_ARTIFACTS"},
        "Cache": {"Type": "NO_CACHE"},
        "Description": TEXT,
        **dict.fromkeys(("EncryptionKey", "Environment", "LogsConfig", "ServiceRole", "Source"), GIVEN),
        "TimeoutInMinutes": LIMIT,
        "QueuedTimeoutInMinutes": LIMIT,
    },
    "AWS::DynamoDB::GlobalTable": {
        "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
        "BillingMode": "PAY_PER_REQUEST",
        "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
        "Replicas": GIVEN,
        "TableName": GIVEN,
        "TimeToLiveSpecification": {"AttributeName": "expiration", "Enabled": True},
    },
    "AWS::EC2::FlowLog": {
        **dict.fromkeys(("DeliverLogsPermissionArn", "LogGroupName", "ResourceId"), GIVEN),
        "LogDestinationType": "cloud-watch-logs",
        "ResourceType": "VPC",
        "TrafficType": "ALL",
    },
    "AWS::EC2::InternetGateway": {},
    "AWS::EC2::Route": {"DestinationCidrBlock": "0.0.0.0/0", "GatewayId": GIVEN, "RouteTableId": GIVEN},
    "AWS::EC2::RouteTable": {"VpcId": GIVEN},
    "AWS::EC2::SecurityGroup": {"GroupDescription": TEXT, "SecurityGroupEgress": GIVEN, "VpcId": GIVEN},
    "AWS::EC2::SecurityGroupIngress": {
        **dict.fromkeys(("FromPort", "GroupId", "SourceSecurityGroupId", "ToPort"), GIVEN),
        "Description": TEXT,
        "IpProtocol": "tcp",
    },
    "AWS::EC2::Subnet": {
        **dict.fromkeys(("AvailabilityZone", "CidrBlock", "VpcId"), GIVEN),
        "MapPublicIpOnLaunch": False,
    },
    "AWS::EC2::SubnetRouteTableAssociation": {"RouteTableId": GIVEN, "SubnetId": GIVEN},
    "AWS::EC2::VPC": {
        "CidrBlock": "10.0.0.0/16",
        "EnableDnsHostnames": True,
        "EnableDnsSupport": True,
        "InstanceTenancy": "default",
    },
    "AWS::EC2::VPCEndpoint": {
        **dict.fromkeys(("ServiceName", "VpcEndpointType", "VpcId"), GIVEN),
        **dict.fromkeys(
            ("PolicyDocument", "PrivateDnsEnabled", "RouteTableIds", "SecurityGroupIds", "SubnetIds"), SOMETIMES
        ),
    },
    "AWS::EC2::VPCGatewayAttachment": {"InternetGatewayId": GIVEN, "VpcId": GIVEN},
    "AWS::ECR::Repository": {
        "EmptyOnDelete": True,
        "EncryptionConfiguration": SOMETIMES,
        "ImageScanningConfiguration": {"ScanOnPush": True},
        "ImageTagMutability": "IMMUTABLE",
        "LifecyclePolicy": SETTINGS,
        "RepositoryName": GIVEN,
    },
    "AWS::ECS::Cluster": {
        "ClusterName": GIVEN,
        "ClusterSettings": [{"Name": "containerInsights", "Value": "enabled"}],
    },
    "AWS::ECS::TaskDefinition": {
        **dict.fromkeys(("ContainerDefinitions", "Cpu", "ExecutionRoleArn", "Family", "Memory", "TaskRoleArn"), GIVEN),
        "NetworkMode": "awsvpc",
        "RequiresCompatibilities": ["FARGATE"],
        "RuntimePlatform": {"CpuArchitecture": "ARM64", "OperatingSystemFamily": "LINUX"},
    },
    "AWS::Events::Archive": {
        **dict.fromkeys(("ArchiveName", "EventPattern", "SourceArn"), GIVEN),
        "Description": TEXT,
        "RetentionDays": LIMIT,
    },
    "AWS::Events::EventBus": {"Name": GIVEN},
    "AWS::Events::EventBusPolicy": {"EventBusName": PROVED, "Statement": PROVED, "StatementId": TEXT},
    "AWS::Events::Rule": {
        "Description": TEXT,
        "EventBusName": SOMETIMES,
        "EventPattern": GIVEN,
        "State": "ENABLED",
        "Targets": GIVEN,
    },
    "AWS::IAM::ManagedPolicy": {"Description": TEXT, "Path": "/", "PolicyDocument": PROVED},
    "AWS::IAM::Policy": {"PolicyDocument": PROVED, "PolicyName": TEXT, "Roles": PROVED},
    "AWS::IAM::Role": {
        "AssumeRolePolicyDocument": PROVED,
        "Description": Free("shown to people only", optional=True),
        "ManagedPolicyArns": SOMETIMES,
        "PermissionsBoundary": SOMETIMES,
        "Policies": SOMETIMES,
        "RoleName": SOMETIMES,
    },
    "AWS::IdentityStore::Group": {"Description": TEXT, "DisplayName": GIVEN, "IdentityStoreId": GIVEN},
    "AWS::IdentityStore::GroupMembership": {"GroupId": GIVEN, "IdentityStoreId": GIVEN, "MemberId": GIVEN},
    "AWS::IdentityStore::User": dict.fromkeys(("DisplayName", "Emails", "IdentityStoreId", "Name", "UserName"), GIVEN),
    "AWS::KMS::Alias": {"AliasName": GIVEN, "TargetKeyId": GIVEN},
    "AWS::KMS::Key": {"Description": TEXT, "EnableKeyRotation": True, "KeyPolicy": PROVED},
    "AWS::Lambda::EventInvokeConfig": {"DestinationConfig": GIVEN, "FunctionName": GIVEN, "Qualifier": "$LATEST"},
    "AWS::Lambda::EventSourceMapping": {
        **dict.fromkeys(("BatchSize", "EventSourceArn", "FunctionName", "ScalingConfig"), GIVEN),
        "FunctionResponseTypes": ["ReportBatchItemFailures"],
    },
    "AWS::Lambda::Function": {
        **dict.fromkeys(("Code", "Handler", "LoggingConfig", "Role"), GIVEN),
        **dict.fromkeys(("Architectures", "Environment", "FunctionName", "TracingConfig"), SOMETIMES),
        **dict.fromkeys(("KmsKeyArn", "VpcConfig"), SOMETIMES),
        "Description": Free("shown to people only", optional=True),
        "MemorySize": Free(LIMIT.reason, int, LIMIT.pattern, optional=True),
        "ReservedConcurrentExecutions": SOMETIMES,
        "Runtime": Free("the runtime's version", pattern=r"python3\.[0-9]+|nodejs[0-9]+\.x"),
        "Timeout": LIMIT,
    },
    "AWS::Lambda::Permission": dict.fromkeys(("Action", "FunctionName", "Principal", "SourceArn"), PROVED),
    "AWS::Logs::LogGroup": {"KmsKeyId": SOMETIMES, "LogGroupName": SOMETIMES, "RetentionInDays": GIVEN},
    "AWS::S3::Bucket": {
        "BucketEncryption": GIVEN,
        "BucketName": GIVEN,
        "LifecycleConfiguration": GIVEN,
        **dict.fromkeys(
            (
                *("LoggingConfiguration", "NotificationConfiguration", "ReplicationConfiguration"),
                "VersioningConfiguration",
            ),
            SOMETIMES,
        ),
        "OwnershipControls": {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]},
        "PublicAccessBlockConfiguration": dict.fromkeys(
            ("BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets"), True
        ),
    },
    "AWS::S3::BucketPolicy": {"Bucket": PROVED, "PolicyDocument": PROVED},
    "AWS::SNS::Subscription": {
        **dict.fromkeys(("Endpoint", "Protocol", "TopicArn"), GIVEN),
        **dict.fromkeys(
            ("DeliveryPolicy", "FilterPolicy", "FilterPolicyScope", "RawMessageDelivery", "RedrivePolicy", "Region"),
            SOMETIMES,
        ),
    },
    "AWS::SNS::Topic": {
        **dict.fromkeys(("DeliveryStatusLogging", "FifoTopic"), SOMETIMES),
        "KmsMasterKeyId": SOMETIMES,
        "MaximumMessageSize": SOMETIMES,
        "SignatureVersion": "2",
        "TopicName": GIVEN,
    },
    "AWS::SNS::TopicPolicy": {"PolicyDocument": PROVED, "Topics": PROVED},
    "AWS::SQS::Queue": {
        **dict.fromkeys(("FifoQueue", "RedrivePolicy", "VisibilityTimeout"), SOMETIMES),
        "MessageRetentionPeriod": GIVEN,
        "QueueName": GIVEN,
        **dict.fromkeys(("KmsMasterKeyId", "SqsManagedSseEnabled"), SOMETIMES),
    },
    "AWS::SQS::QueuePolicy": {"PolicyDocument": PROVED, "Queues": PROVED},
    "AWS::SSM::Parameter": {"Description": TEXT, "Name": GIVEN, "Type": "String", "Value": GIVEN},
    "AWS::SSO::ApplicationAssignment": dict.fromkeys(("ApplicationArn", "PrincipalId", "PrincipalType"), GIVEN),
    "AWS::SageMaker::AppImageConfig": {
        "AppImageConfigName": GIVEN,
        **dict.fromkeys(
            ("CodeEditorAppImageConfig", "JupyterLabAppImageConfig", "KernelGatewayImageConfig"), SOMETIMES
        ),
    },
    "AWS::SageMaker::Domain": {
        **dict.fromkeys(("AppNetworkAccessType", "AuthMode", "DefaultSpaceSettings", "DefaultUserSettings"), GIVEN),
        **dict.fromkeys(("DomainName", "DomainSettings", "HomeEfsFileSystemCreation", "KmsKeyId"), GIVEN),
        "SubnetIds": GIVEN,
        "TagPropagation": "ENABLED",
        "VpcId": GIVEN,
    },
    "AWS::SageMaker::Image": {"ImageDisplayName": TEXT, "ImageName": GIVEN, "ImageRoleArn": GIVEN},
    "AWS::SageMaker::ImageVersion": {"BaseImage": GIVEN, "ImageName": GIVEN},
    "AWS::SageMaker::NotebookInstance": {
        "DirectInternetAccess": "Disabled",
        "InstanceMetadataServiceConfiguration": {"MinimumInstanceMetadataServiceVersion": "2"},
        **dict.fromkeys(("InstanceType", "KmsKeyId", "NotebookInstanceName", "RoleArn", "SecurityGroupIds"), GIVEN),
        "PlatformIdentifier": "notebook-al2023-v1",
        "RootAccess": "Disabled",
        "SubnetId": GIVEN,
        "VolumeSizeInGB": LIMIT,
    },
    "AWS::SageMaker::Pipeline": {
        "PipelineDefinition": GIVEN,
        "PipelineDescription": TEXT,
        "PipelineName": GIVEN,
        "RoleArn": GIVEN,
    },
    "AWS::SageMaker::Space": {
        **dict.fromkeys(("DomainId", "OwnershipSettings", "SpaceName", "SpaceSettings"), GIVEN),
        "SpaceSharingSettings": {"SharingType": "Shared"},
    },
    "AWS::SageMaker::UserProfile": {
        **dict.fromkeys(("DomainId", "UserProfileName", "UserSettings"), GIVEN),
        **dict.fromkeys(("SingleSignOnUserIdentifier", "SingleSignOnUserValue"), SOMETIMES),
    },
    "AWS::Scheduler::Schedule": {
        "Description": TEXT,
        "FlexibleTimeWindow": {"Mode": "OFF"},
        **dict.fromkeys(("KmsKeyArn", "ScheduleExpression", "Target"), GIVEN),
        "ScheduleExpressionTimezone": "UTC",
    },
    "AWS::StepFunctions::StateMachine": {
        **dict.fromkeys(("DefinitionString", "LoggingConfiguration", "RoleArn"), GIVEN),
        **dict.fromkeys(("StateMachineName", "StateMachineType", "TracingConfiguration"), SOMETIMES),
    },
    "Custom::ContainerImage": dict.fromkeys(("Project", "Repository", "ServiceToken", "Source", "Tag"), GIVEN),
    "Custom::DomainCleanUp": {
        **dict.fromkeys(("DomainId", "Ephemeral", "JobPrefix", "LogGroups", "LogRetentionDays"), GIVEN),
        **dict.fromkeys(("Pipelines", "Profiles", "Retained", "ServiceToken", "Spaces"), GIVEN),
    },
    "Custom::DomainGuard": {"Fixed": GIVEN, "ServiceToken": GIVEN},
    "Custom::S3AutoDeleteObjects": {"BucketName": GIVEN, "ServiceToken": GIVEN},
}


@dataclass(frozen=True)
class Expected:
    """A resource of the statement of intent: its type, the properties that the intent gives, its removal policies."""

    type: str
    given: Mapping[str, Any] = field(default_factory=dict)
    removal: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        rows = TABLE[self.type]
        wanted = {name for name, rule in rows.items() if rule is GIVEN}
        allowed = wanted | {name for name, rule in rows.items() if rule is SOMETIMES}
        assert wanted <= set(self.given) <= allowed, f"{self.type}: {wanted ^ set(self.given)}"

    @property
    def properties(self) -> dict[str, Any]:
        """The properties with their constants, given values and rules."""
        constants = {name: rule for name, rule in TABLE[self.type].items() if not isinstance(rule, Given)}
        return {"Tags": TAGS, **constants, **self.given}


def property_findings(inventory: Inventory, expected: Mapping[str, Mapping[str, Expected]]) -> Iterator[str]:
    """Yield each difference between the templates' resources and the intended ones, by stack and construct."""
    yield from (f"{name}: the stack is not in the intent" for name in inventory.stacks if name not in expected)
    for name, resources in expected.items():
        stack = inventory.stacks[name]
        for construct in stack.by_construct.keys() - resources.keys():
            logical = stack.by_construct[construct]
            yield f"{name}/{logical}: a resource of type {stack.all[logical]['Type']} that is not in the intent"
        for construct, resource in resources.items():
            logical = stack.logical(construct)
            for problem in resource_problems(stack, logical, stack.all[logical], resource):
                yield f"{name}/{logical}: {problem}"


def resource_problems(stack: Resources, logical: str, resource: Mapping[str, Any], expected: Expected) -> Iterator[str]:
    """Yield each difference between a resource of a template and the intended one."""
    if resource["Type"] != expected.type:
        yield f"has the type {resource['Type']}, not {expected.type}"
        return
    yield from differences(expected.properties, stack.resolve(resource.get("Properties", {}), logical), "")
    removal = {key: resource[key] for key in ("DeletionPolicy", "UpdateReplacePolicy") if key in resource}
    yield from differences(expected.removal, removal, "")


def differences(expected: Any, actual: Any, path: str) -> Iterator[str]:
    """Yield the differences between a value and the intended one, which may contain rules."""
    match expected:
        case Free() | Json() | Dashboard() | Lifecycle():
            yield from expected.problems(actual, path)
        case dict() if isinstance(actual, dict):
            dot = f"{path}." if path else ""
            for name in sorted(actual.keys() - expected.keys()):
                yield f"{dot}{name} is not in the table: {_short(actual[name])}"
            for name, value in expected.items():
                if name in actual:
                    yield from differences(value, actual[name], f"{dot}{name}")
                elif not (isinstance(value, Free) and value.optional):
                    yield f"{dot}{name} is absent"
        case list() if isinstance(actual, list) and len(expected) == len(actual):
            for index, (value, item) in enumerate(zip(expected, actual, strict=True)):
                yield from differences(value, item, f"{path}[{index}]")
        case _ if expected != actual or isinstance(expected, bool) is not isinstance(actual, bool):
            yield f"{path} is {_short(actual)}, not {_short(expected)}"


def _short(value: object) -> str:
    text = json.dumps(value, default=str)
    return text if len(text) <= 200 else f"{text[:200]}…"
