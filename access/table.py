"""The value of each property of a resource: from the statement of intent, or from the table, type by type.

The table has the values that are the same for all resources of a type, and those that are free with a reason. A
property with neither is an error, and so is one that is absent from the template.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from itertools import chain
from typing import Any

from access.assembly import unique
from access.inventory import Inventory, as_list
from access.template import Resources
from stacks.deployment.regions import known_regions


class Rule:
    """What a value must be, if it is not one value."""

    optional: bool = False

    def problems(self, value: Any, path: str) -> Iterator[str]:
        """Yield the problems of a value. An exception means that it has another form."""
        raise NotImplementedError


@dataclass(frozen=True)
class Free(Rule):
    """Any value of a type. `reason`: why it gives no access and changes no route of a message."""

    reason: str
    type: type | tuple[type, ...] = str
    pattern: str = ""
    optional: bool = False

    def problems(self, value: Any, path: str) -> Iterator[str]:
        """Yield a problem if the value has another type or another form."""
        if not isinstance(value, self.type) or (self.pattern and not re.fullmatch(self.pattern, str(value))):
            yield f"{path} is {_short(value)}, which has another form"


class Retries(Rule):
    """The retries of a state: some, and they end within a day or two. Until then there is no alarm."""

    def problems(self, value: Any, path: str) -> Iterator[str]:
        """Yield a problem if there is no retry, or no end."""
        attempts = sum(retry.get("MaxAttempts", 3) for retry in value)
        pauses = [retry.get("MaxDelaySeconds", retry.get("IntervalSeconds", 1)) for retry in value]
        if not (1 <= attempts <= 200 and all(pause <= 600 for pause in pauses)):
            yield f"{path} is {_short(value)}, which does not retry, or does not end"


@dataclass(frozen=True)
class Text(Rule):
    """A text that is shown to people only. It must not lead them elsewhere.

    `known`: the web and mail addresses, ARNs, accounts and Regions that it may have.
    """

    known: frozenset[str] = frozenset()
    optional: bool = False

    def problems(self, value: Any, path: str) -> Iterator[str]:
        """Yield what the text has that is not known."""
        for found in places(value):
            if found not in self.known:
                yield f"{path} has {found}, which is not in the intent"


def places(text: str) -> list[str]:
    """Return the web addresses without fragments, mail addresses, ARNs, accounts and Regions in a text."""
    return _place().findall(text)


@cache
def _place() -> re.Pattern[str]:
    regions = "|".join(sorted(known_regions()))
    addresses = r"https?://[^\s)\"`#]+|\barn:[^\s\"]+|[\w.+-]+@[\w.-]+"
    return re.compile(rf"{addresses}|\b[0-9]{{12}}\b|\b(?:{regions})\b")


@dataclass(frozen=True)
class Tags(Rule):
    """The deployment's tags, and those of CDK. Other policies of an organisation can depend on tags."""

    own: Mapping[str, str]
    optional: bool = True

    def problems(self, value: Any, path: str) -> Iterator[str]:
        """Yield a problem if there are other tags."""
        tags = value if isinstance(value, dict) else {tag["Key"]: tag["Value"] for tag in value}
        yield from differences(self.own, {key: tags[key] for key in tags.keys() - _TAGS_OF_CDK}, path)


_TAGS_OF_CDK = {"Name", "aws-cdk:subnet-name", "aws-cdk:subnet-type", "aws-cdk:auto-delete-objects"}


@dataclass(frozen=True)
class Json(Rule):
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
class Dashboard(Rule):
    """The text of a dashboard: the stack's alarms, graphs and logs of the deployment's resources, and texts."""

    region: str
    alarms: frozenset[str]
    """The ARNs of all alarms of the stack."""
    names: frozenset[tuple[str, str]]
    """Names of resources and log groups, each with its Region."""
    text: Text

    def problems(self, value: Any, path: str) -> Iterator[str]:
        """Yield what the widgets show of others, and the widgets of other kinds."""
        text = Text(self.text.known | self.alarms | {name for name, _ in self.names})
        for widget in json.loads(value, object_pairs_hook=unique)["widgets"]:
            kind, shown = widget["type"], widget["properties"]
            yield from (f"{path}: {problem}" for problem in self._problems(kind, shown))
            yield from chain.from_iterable(text.problems(found, path) for found in _texts(shown))

    def _problems(self, kind: str, shown: dict[str, Any]) -> Iterator[str]:
        yield from (f"a widget has {name}" for name in shown.keys() - _OF_WIDGETS)
        if (region := shown.get("region", self.region)) != self.region:
            yield f"a widget is of {region}"
        match kind:
            case "text":
                pass
            case "alarm":
                yield from differences(sorted(self.alarms), sorted(shown["alarms"]), "alarms")
            case "metric":
                for _, _, *dimensions in shown["metrics"]:
                    options = dimensions.pop() if isinstance(dimensions[-1], dict) else {}
                    yield from (f"a metric has {name}" for name in options.keys() - _OF_METRICS)
                    yield from self._others(dimensions[1::2], options.get("region", self.region))
            case "log":
                yield from self._others(re.findall("SOURCE '([^']*)'", shown["query"]), self.region)
            case _:
                yield f"a widget of the kind {kind}"

    def _others(self, names: list[str], region: str) -> Iterator[str]:
        for name in names:
            if (name, region) not in self.names:
                yield f"a widget shows {name} of {region}, which is not in the intent"


def _texts(node: Any) -> Iterator[str]:
    if isinstance(node, str):
        yield node
    items = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
    for item in items:
        yield from _texts(item)


_OF_WIDGETS = {"view", "title", "region", "metrics", "annotations", "yAxis", "markdown", "alarms", "query"}
_OF_METRICS = {"stat", "period", "label", "yAxis", "region"}
PROVED = Free("a policy, or its resource: the prover compares it with the intent", (dict, list, str))
TEXT = Text()

_GIVEN_ALONE = """
    AWS::Budgets::Budget AWS::CloudWatch::Dashboard AWS::EC2::InternetGateway AWS::EC2::RouteTable
    AWS::EC2::SubnetRouteTableAssociation AWS::EC2::VPCEndpoint AWS::EC2::VPCGatewayAttachment AWS::Events::EventBus
    AWS::IdentityStore::GroupMembership AWS::IdentityStore::User AWS::KMS::Alias
    AWS::Logs::LogGroup AWS::SNS::Subscription AWS::SQS::Queue AWS::SSO::ApplicationAssignment
    AWS::SageMaker::AppImageConfig AWS::SageMaker::Image AWS::SageMaker::ImageVersion AWS::SageMaker::UserProfile
    AWS::StepFunctions::StateMachine Custom::ContainerImage Custom::DomainCleanUp Custom::DomainGuard
    Custom::S3AutoDeleteObjects
"""  # types whose properties all come from the intent
TABLE: Mapping[str, Mapping[str, Any]] = {
    **{kind: {} for kind in _GIVEN_ALONE.split()},
    "AWS::CloudWatch::Alarm": {
        "AlarmDescription": TEXT,
        "ComparisonOperator": "GreaterThanOrEqualToThreshold",
        "TreatMissingData": "notBreaching",
    },
    "AWS::CodeBuild::Project": {
        "Artifacts": {"Type": "NO_ARTIFACTS"},
        "Cache": {"Type": "NO_CACHE"},
        "Description": TEXT,
        "TimeoutInMinutes": 40,
        "QueuedTimeoutInMinutes": 9,
    },
    "AWS::DynamoDB::GlobalTable": {
        "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
        "BillingMode": "PAY_PER_REQUEST",
        "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
        "TimeToLiveSpecification": {"AttributeName": "expiration", "Enabled": True},
    },
    "AWS::EC2::FlowLog": {"LogDestinationType": "cloud-watch-logs", "ResourceType": "VPC", "TrafficType": "ALL"},
    "AWS::EC2::Route": {"DestinationCidrBlock": "0.0.0.0/0"},
    "AWS::EC2::SecurityGroup": {"GroupDescription": TEXT},
    "AWS::EC2::SecurityGroupIngress": {"Description": TEXT, "IpProtocol": "tcp"},
    "AWS::EC2::Subnet": {"MapPublicIpOnLaunch": False},
    "AWS::EC2::VPC": {
        "CidrBlock": "10.0.0.0/16",
        "EnableDnsHostnames": True,
        "EnableDnsSupport": True,
        "InstanceTenancy": "default",
    },
    "AWS::ECR::Repository": {
        "EmptyOnDelete": True,
        "ImageScanningConfiguration": {"ScanOnPush": True},
        "ImageTagMutability": "IMMUTABLE",
    },
    "AWS::ECS::Cluster": {"ClusterSettings": [{"Name": "containerInsights", "Value": "enabled"}]},
    "AWS::ECS::TaskDefinition": {
        "NetworkMode": "awsvpc",
        "RequiresCompatibilities": ["FARGATE"],
        "RuntimePlatform": {"CpuArchitecture": "ARM64", "OperatingSystemFamily": "LINUX"},
    },
    "AWS::Events::Archive": {"Description": TEXT},
    "AWS::Events::EventBusPolicy": {"EventBusName": PROVED, "Statement": PROVED},
    "AWS::Events::Rule": {"Description": TEXT, "State": "ENABLED"},
    "AWS::IAM::ManagedPolicy": {"Description": TEXT, "Path": "/", "PolicyDocument": PROVED},
    "AWS::IAM::Policy": {"PolicyDocument": PROVED, "PolicyName": TEXT, "Roles": PROVED},
    "AWS::IAM::Role": {"AssumeRolePolicyDocument": PROVED, "Description": Text(optional=True)},
    "AWS::IdentityStore::Group": {"Description": TEXT},
    "AWS::KMS::Key": {"Description": TEXT, "EnableKeyRotation": True, "KeyPolicy": PROVED},
    "AWS::Lambda::EventInvokeConfig": {"Qualifier": "$LATEST"},
    "AWS::Lambda::EventSourceMapping": {"FunctionResponseTypes": ["ReportBatchItemFailures"]},
    "AWS::Lambda::Function": {"Description": Text(optional=True)},
    "AWS::Lambda::Permission": dict.fromkeys(("Action", "FunctionName", "Principal", "SourceArn"), PROVED),
    "AWS::S3::Bucket": {
        "OwnershipControls": {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]},
        "PublicAccessBlockConfiguration": dict.fromkeys(
            ("BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets"), True
        ),
    },
    "AWS::S3::BucketPolicy": {"Bucket": PROVED, "PolicyDocument": PROVED},
    "AWS::SNS::Topic": {"SignatureVersion": "2"},
    "AWS::SNS::TopicPolicy": {"PolicyDocument": PROVED, "Topics": PROVED},
    "AWS::SQS::QueuePolicy": {"PolicyDocument": PROVED, "Queues": PROVED},
    "AWS::SSM::Parameter": {"Description": TEXT, "Type": "String"},
    "AWS::SageMaker::Domain": {"TagPropagation": "ENABLED"},
    "AWS::SageMaker::NotebookInstance": {
        "DirectInternetAccess": "Disabled",
        "InstanceMetadataServiceConfiguration": {"MinimumInstanceMetadataServiceVersion": "2"},
        "PlatformIdentifier": "notebook-al2023-v1",
        "RootAccess": "Disabled",
    },
    "AWS::SageMaker::Pipeline": {"PipelineDescription": TEXT},
    "AWS::SageMaker::Space": {"SpaceSharingSettings": {"SharingType": "Shared"}},
    "AWS::Scheduler::Schedule": {
        "Description": TEXT,
        "FlexibleTimeWindow": {"Mode": "OFF"},
        "ScheduleExpressionTimezone": "UTC",
    },
}


@dataclass(frozen=True)
class Expected:
    """A resource of the statement of intent: its type, the properties that the intent gives, its removal policies."""

    type: str
    given: Mapping[str, Any] = field(default_factory=dict)
    removal: Mapping[str, str] = field(default_factory=dict)
    after: str = ""
    """Pattern for the constructs that CloudFormation creates before this one."""

    @property
    def properties(self) -> dict[str, Any]:
        """The properties with their values and rules."""
        constants = TABLE[self.type]
        assert all(isinstance(constants[name], Text) for name in constants.keys() & self.given.keys()), self
        return {**constants, **self.given}


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
    after = [own for path, own in stack.by_construct.items() if expected.after and re.fullmatch(expected.after, path)]
    if sorted(after) != (found := sorted(as_list(resource.get("DependsOn")))):
        yield f"DependsOn is {_short(found)}, not {_short(sorted(after))}"


def differences(expected: Any, actual: Any, path: str) -> Iterator[str]:
    """Yield the differences between a value and the intended one, which may contain rules."""
    match expected:
        case Rule():
            try:
                yield from expected.problems(actual, path)
            except (AttributeError, IndexError, KeyError, TypeError, ValueError):
                yield f"{path} is {_short(actual)}, which has another form"
        case dict() if isinstance(actual, dict):
            dot = f"{path}." if path else ""
            for name in sorted(actual.keys() - expected.keys()):
                yield f"{dot}{name} is not in the intent: {_short(actual[name])}"
            for name, value in expected.items():
                if name in actual:
                    yield from differences(value, actual[name], f"{dot}{name}")
                elif not (isinstance(value, Rule) and value.optional):
                    yield f"{dot}{name} is absent"
        case list() if isinstance(actual, list) and len(expected) == len(actual):
            for index, (value, item) in enumerate(zip(expected, actual, strict=True)):
                yield from differences(value, item, f"{path}[{index}]")
        case _ if expected != actual or isinstance(expected, bool) is not isinstance(actual, bool):
            yield f"{path} is {_short(actual)}, not {_short(expected)}"


def _short(value: object) -> str:
    text = json.dumps(value, default=str)
    return text if len(text) <= 200 else f"{text[:200]}…"
