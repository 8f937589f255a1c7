"""Templates resolved to concrete policies: every ARN spelled out, every statement where AWS would evaluate it.

Loud by design. An intrinsic function, a resource type or a place for a policy that is not known here is an error, never
skipped: a policy that nobody reads is a policy that nobody checks.
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from cli.assembly import StackTemplate
from stacks.regions import dns_suffix, partition

Policy = dict[str, Any]
Statement = dict[str, Any]
Properties = dict[str, Any]


class UnresolvedError(ValueError):
    """A template holds something that cannot be made concrete. Names stack, resource and what it is."""


@dataclass(frozen=True)
class Guarded:
    """Something with a policy of its own: bucket, key, topic, queue, function, bus, repository, endpoint of a VPC, or a
    role's trust.

    `policy` may have no statement at all. `properties` are the template's, not resolved, for what decides beside
    policies (such as a bucket's block of public access).
    """

    kind: str
    arn: str
    account: str
    region: str
    where: str
    policy: Policy
    properties: Properties


@dataclass(frozen=True)
class Role:
    """An IAM role: what it may do by its own policies, and the ARN of its permission boundary if it has one.

    `bounds` is what the boundary says: None without one, and also where it is in no template and was not given.
    """

    arn: str
    account: str
    where: str
    policies: tuple[Policy, ...]
    boundary: str | None = None
    bounds: Policy | None = None

    @property
    def name(self) -> str:
        return self.arn.rsplit("/", 1)[1]


@dataclass(frozen=True)
class Thing:
    """Something without a policy of its own, which its account's roles act on."""

    kind: str
    arn: str
    account: str
    region: str
    where: str


@dataclass
class Concrete:
    """All of a deployment, by ARN."""

    guarded: dict[str, Guarded] = field(default_factory=dict)
    roles: dict[str, Role] = field(default_factory=dict)
    things: dict[str, Thing] = field(default_factory=dict)
    regions: dict[str, str] = field(default_factory=dict)
    """Region of each stack."""
    accounts: dict[str, str] = field(default_factory=dict)
    """Account of each stack."""

    def named(self, stack: str, construct: str, *, hashed: bool = True) -> str:
        """The ARN of what the construct of that path (`TaskRole` for `Task/Role`) in that stack became; for what
        CloudFormation names. CDK puts a hash behind all but the stack's own resources.

        Raises:
            KeyError: when there is not exactly one.
        """
        pattern = re.compile(rf"{re.escape(stack)}/{re.escape(construct)}{'[0-9A-F]{8}' if hashed else ''}")
        found = [each.arn for each in self._everything() if pattern.fullmatch(each.where)]
        if len(found) != 1:
            raise KeyError(f"{stack}/{construct}: {len(found)} resources, not 1")
        return found[0]

    def of_kind(self, kind: str) -> list[Guarded]:
        return [each for each in self.guarded.values() if each.kind == kind]

    def _everything(self) -> Iterator[Guarded | Role | Thing]:
        yield from self.roles.values()
        yield from (each for each in self.guarded.values() if each.kind != "role")
        yield from self.things.values()


def concrete(stacks: Iterable[StackTemplate], managed: Mapping[str, Policy] | None = None) -> Concrete:
    """Every policy of these stacks. `managed` are managed policies that they name and do not have, by ARN.

    Raises:
        UnresolvedError: at the first thing that cannot be made concrete.
    """
    found = Concrete()
    for stack in stacks:
        found.regions[stack.name] = stack.region
        found.accounts[stack.name] = stack.account
        StackReader(stack, managed or {}).read_into(found)
    return found


# How CloudFormation names things: what `Ref` gives, and the ARN that `Fn::GetAtt … Arn` gives -----------------------

# Kind, the property that holds the name, and what comes after partition, service, Region and account. `{name}` is the
# property, or what stands for CloudFormation's own choice: stack and logical id.
_NAMED: dict[str, tuple[str, str, str]] = {
    "AWS::S3::Bucket": ("bucket", "BucketName", "arn:{partition}:s3:::{name}"),
    "AWS::KMS::Key": ("key", "", "arn:{partition}:kms:{region}:{account}:key/{name}"),
    "AWS::SNS::Topic": ("topic", "TopicName", "arn:{partition}:sns:{region}:{account}:{name}"),
    "AWS::SQS::Queue": ("queue", "QueueName", "arn:{partition}:sqs:{region}:{account}:{name}"),
    "AWS::Lambda::Function": ("function", "FunctionName", "arn:{partition}:lambda:{region}:{account}:function:{name}"),
    "AWS::Events::EventBus": ("bus", "Name", "arn:{partition}:events:{region}:{account}:event-bus/{name}"),
    "AWS::IAM::Role": ("role", "RoleName", "arn:{partition}:iam::{account}:role/{name}"),
    "AWS::Events::Rule": ("rule", "Name", "arn:{partition}:events:{region}:{account}:rule/{bus}{name}"),
    "AWS::Logs::LogGroup": ("log group", "LogGroupName", "arn:{partition}:logs:{region}:{account}:log-group:{name}:*"),
    "AWS::DynamoDB::GlobalTable": ("table", "TableName", "arn:{partition}:dynamodb:{region}:{account}:table/{name}"),
    "AWS::StepFunctions::StateMachine": (
        "state machine",
        "StateMachineName",
        "arn:{partition}:states:{region}:{account}:stateMachine:{name}",
    ),
    "AWS::ECS::Cluster": ("cluster", "ClusterName", "arn:{partition}:ecs:{region}:{account}:cluster/{name}"),
    "AWS::ECS::TaskDefinition": (
        "task definition",
        "Family",
        "arn:{partition}:ecs:{region}:{account}:task-definition/{name}:1",
    ),
    "AWS::ECR::Repository": (
        "repository",
        "RepositoryName",
        "arn:{partition}:ecr:{region}:{account}:repository/{name}",
    ),
    "AWS::EC2::SecurityGroup": ("security group", "", "arn:{partition}:ec2:{region}:{account}:security-group/{name}"),
    "AWS::EC2::Subnet": ("subnet", "", "arn:{partition}:ec2:{region}:{account}:subnet/{name}"),
    "AWS::EC2::VPCEndpoint": ("endpoint", "", "arn:{partition}:ec2:{region}:{account}:vpc-endpoint/{name}"),
    "AWS::IAM::ManagedPolicy": ("policy", "ManagedPolicyName", "arn:{partition}:iam::{account}:policy/{name}"),
    "AWS::CodeBuild::Project": ("build project", "Name", "arn:{partition}:codebuild:{region}:{account}:project/{name}"),
    "AWS::XRay::ResourcePolicy": ("traces", "PolicyName", "arn:{partition}:xray:{region}:{account}:policy/{name}"),
    "AWS::SageMaker::Domain": ("domain", "", "arn:{partition}:sagemaker:{region}:{account}:domain/{name}"),
}
_REF_IS_ARN = (
    "AWS::SNS::Topic",
    "AWS::StepFunctions::StateMachine",
    "AWS::ECS::TaskDefinition",
    "AWS::IAM::ManagedPolicy",
)
_GUARDED = ("bucket", "key", "topic", "queue", "function", "bus", "role", "repository", "endpoint", "traces")
# Attributes that policies spell, besides `Arn`, and what stands for what AWS makes up.
_ATTRIBUTES = {
    ("AWS::EC2::SecurityGroup", "GroupId"): "{name}",
    ("AWS::SageMaker::Domain", "DomainId"): "{name}",
    ("AWS::SageMaker::Domain", "DomainArn"): "{arn}",
}
# What an endpoint without a policy lets through. (VPC guide, "Default endpoint policy".)
_ANYTHING: Statement = {"Effect": "Allow", "Principal": "*", "Action": "*", "Resource": "*"}

# Types that have no policy of their own, and that no policy of ours names by reference.
_WITHOUT_POLICY = {
    "AWS::Budgets::Budget",
    "AWS::CloudWatch::Alarm",
    "AWS::CloudWatch::Dashboard",
    "AWS::EC2::FlowLog",
    "AWS::EC2::InternetGateway",
    "AWS::EC2::Route",
    "AWS::EC2::RouteTable",
    "AWS::EC2::SecurityGroupIngress",
    "AWS::EC2::SubnetRouteTableAssociation",
    "AWS::EC2::VPC",
    "AWS::EC2::VPCGatewayAttachment",
    "AWS::ECS::ClusterCapacityProviderAssociations",
    "AWS::Events::Archive",
    "AWS::IdentityStore::Group",
    "AWS::IdentityStore::GroupMembership",
    "AWS::IdentityStore::User",
    "AWS::KMS::Alias",
    "AWS::Lambda::EventInvokeConfig",
    "AWS::Lambda::EventSourceMapping",
    "AWS::SNS::Subscription",
    "AWS::SSM::Parameter",
    "AWS::SSO::ApplicationAssignment",
    "AWS::SageMaker::AppImageConfig",
    "AWS::SageMaker::Image",
    "AWS::SageMaker::ImageVersion",
    "AWS::SageMaker::NotebookInstance",
    "AWS::SageMaker::Pipeline",
    "AWS::SageMaker::Space",
    "AWS::SageMaker::UserProfile",
    "AWS::Scheduler::Schedule",
    "Custom::ContainerImage",
    "Custom::DomainCleanUp",
    "Custom::DomainGuard",
    "Custom::S3AutoDeleteObjects",
}
# Managed policies of AWS that CDK attaches, in AWS's words.
_MANAGED = {
    "service-role/AWSLambdaBasicExecutionRole": {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Action": ["logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents"],
                "Resource": "*",
            }
        ],
    },
}


class StackReader:
    """One stack: its resources, and `resolve` for what they say."""

    def __init__(self, stack: StackTemplate, managed: Mapping[str, Policy] | None = None) -> None:
        self._stack = stack
        self._managed = dict(managed or {})
        self._resources: dict[str, dict[str, Any]] = stack.template["Resources"]
        self._pseudo = {
            "AWS::AccountId": stack.account,
            "AWS::Region": stack.region,
            "AWS::Partition": partition(stack.region),
            "AWS::URLSuffix": dns_suffix(stack.region),
            "AWS::StackName": stack.name,
        }
        self._read: set[int] = set()
        """Which policy documents of the template have been read, by identity."""

    def read_into(self, found: Concrete) -> None:
        policies = self._resource_policies()
        self._managed |= {
            self._arn(logical): self._document(logical, self._properties(logical)["PolicyDocument"])
            for logical in self._of_type("AWS::IAM::ManagedPolicy")
        }
        inline = self._identity_policies()
        for logical, resource in self._resources.items():
            kind = resource["Type"]
            if "Condition" in resource:
                raise self._unresolved(logical, "is made only on a condition; what is deployed cannot be known")
            if kind in _NAMED:
                self._read_named(logical, kind, found, policies, inline)
            elif kind not in _WITHOUT_POLICY and kind not in _POLICIES and kind != "AWS::IAM::Policy":
                raise self._unresolved(
                    logical, f"{kind} is not a type that is known here; say in cli/concrete.py what it is"
                )
        for logical, resource in self._resources.items():
            self._refuse_unread(logical, resource.get("Properties", {}))
        for arn in policies:
            if arn not in found.guarded:
                raise UnresolvedError(f"{self._stack.name}: a policy for {arn}, which is in none of the stacks")

    def _read_named(
        self,
        logical: str,
        kind: str,
        found: Concrete,
        policies: Mapping[str, list[Statement]],
        inline: Mapping[str, list[Policy]],
    ) -> None:
        name = _NAMED[kind][0]
        arn, where, properties = self._arn(logical), f"{self._stack.name}/{logical}", self._properties(logical)
        account, region = self._stack.account, self._stack.region
        if name not in _GUARDED:
            found.things[arn] = Thing(name, arn, account, region, where)
            return
        statements = list(policies.get(arn, []))
        if name in _OWN_DOCUMENT and _OWN_DOCUMENT[name] in properties:
            statements += self._document(logical, properties[_OWN_DOCUMENT[name]])["Statement"]
        elif name == "endpoint":
            statements.append(_ANYTHING)
        if name == "role":
            found.roles[arn] = self._role(logical, arn, inline)
        if arn in found.guarded:
            raise self._unresolved(logical, f"{arn} is in two stacks")
        policy = {"Version": "2012-10-17", "Statement": statements}
        found.guarded[arn] = Guarded(name, arn, account, region, where, policy, properties)

    def _role(self, logical: str, arn: str, inline: Mapping[str, list[Policy]]) -> Role:
        properties = self._properties(logical)
        policies = [self._document(logical, each["PolicyDocument"]) for each in properties.get("Policies", [])]
        policies += inline.get(arn, [])
        for reference in properties.get("ManagedPolicyArns", []):
            managed = str(self.resolve(reference, logical))
            document = self._managed.get(managed) or _MANAGED.get(managed.partition(":policy/")[2])
            if document is None:
                raise self._unresolved(logical, f"the managed policy {managed!r} is not known here")
            policies.append(document)
        boundary = properties.get("PermissionsBoundary") and str(
            self.resolve(properties["PermissionsBoundary"], logical)
        )
        return Role(
            arn,
            self._stack.account,
            f"{self._stack.name}/{logical}",
            tuple(policies),
            boundary,
            self._managed.get(boundary or ""),
        )

    def _identity_policies(self) -> dict[str, list[Policy]]:
        """Documents of policies that say themselves to which roles they are attached, by the role's ARN."""
        found: dict[str, list[Policy]] = {}
        for logical in [*self._of_type("AWS::IAM::Policy"), *self._of_type("AWS::IAM::ManagedPolicy")]:
            properties = self._properties(logical)
            document = self._document(logical, properties["PolicyDocument"])
            for attached in {"Users", "Groups"} & set(properties):
                raise self._unresolved(logical, f"{attached} have policies; only roles are known here")
            for role in properties.get("Roles", []):
                name = self.resolve(role, logical)
                found.setdefault(
                    f"arn:{self._pseudo['AWS::Partition']}:iam::{self._stack.account}:role/{name}", []
                ).append(document)
        return found

    def _resource_policies(self) -> dict[str, list[Statement]]:
        """Statements by the ARN of what they are attached to."""
        found: dict[str, list[Statement]] = {}
        documents: set[tuple[str, str]] = set()
        for kind, read in _POLICIES.items():
            for logical in self._of_type(kind):
                for arn, statements in read(self, logical):
                    # AWS keeps one document a bucket, topic or queue: of two, the later deployed would win.
                    if kind in _ONE_DOCUMENT and (kind, arn) in documents:
                        raise self._unresolved(logical, f"a second {kind} for {arn}")
                    documents.add((kind, arn))
                    found.setdefault(arn, []).extend(statements)
        return found

    def bucket_policy(self, logical: str) -> Iterator[tuple[str, list[Statement]]]:
        properties = self._properties(logical)
        bucket = self.resolve(properties["Bucket"], logical)
        yield f"arn:{self._pseudo['AWS::Partition']}:s3:::{bucket}", self._statements(logical)

    def queue_policy(self, logical: str) -> Iterator[tuple[str, list[Statement]]]:
        for url in self._properties(logical)["Queues"]:
            account, name = str(self.resolve(url, logical)).rsplit("/", 2)[1:]
            yield self._local_arn("sqs", account, name), self._statements(logical)

    def topic_policy(self, logical: str) -> Iterator[tuple[str, list[Statement]]]:
        for topic in self._properties(logical)["Topics"]:
            yield str(self.resolve(topic, logical)), self._statements(logical)

    def bus_policy(self, logical: str) -> Iterator[tuple[str, list[Statement]]]:
        properties = self._properties(logical)
        bus = self.resolve(properties["EventBusName"], logical)
        if set(properties) - {"EventBusName", "Statement", "StatementId"}:
            raise self._unresolved(logical, "only EventBusPolicy with a Statement is known here")
        document = self._document(logical, {"Statement": [properties["Statement"]]})
        self._read.add(id(properties["Statement"]))
        yield self._local_arn("events", self._stack.account, f"event-bus/{bus}"), document["Statement"]

    def permission(self, logical: str) -> Iterator[tuple[str, list[Statement]]]:
        """`AWS::Lambda::Permission` as the statement that Lambda makes of it."""
        properties: Properties = self.resolve(self._properties(logical), logical)
        name = properties["FunctionName"]
        arn = name if name.startswith("arn:") else self._local_arn("lambda", self._stack.account, f"function:{name}")
        conditions = {
            "SourceArn": ("ArnLike", "aws:SourceArn"),
            "SourceAccount": ("StringEquals", "aws:SourceAccount"),
            "PrincipalOrgID": ("StringEquals", "aws:PrincipalOrgID"),
            "EventSourceToken": ("StringEquals", "lambda:EventSourceToken"),
        }
        if unknown := set(properties) - {"Action", "FunctionName", "Principal", *conditions}:
            raise self._unresolved(logical, f"{', '.join(sorted(unknown))} of a permission is not known here")
        statement: Statement = {
            "Sid": logical,
            "Effect": "Allow",
            "Principal": _lambda_principal(properties["Principal"], self._pseudo["AWS::Partition"]),
            "Action": properties["Action"],
            "Resource": arn,
        }
        for key, (operator, condition) in conditions.items():
            if key in properties:
                statement.setdefault("Condition", {}).setdefault(operator, {})[condition] = properties[key]
        yield arn, [statement]

    def resolve(self, value: Any, logical: str) -> Any:
        """The value with every intrinsic function carried out."""
        match value:
            case list():
                return [self.resolve(each, logical) for each in value]
            case {"Ref": str(target)} if len(value) == 1:
                return self._ref(target, logical)
            case {"Fn::GetAtt": [str(target), str(attribute)]} if len(value) == 1:
                return self._attribute(target, attribute, logical)
            case {"Fn::Join": [str(separator), list(parts)]} if len(value) == 1:
                return separator.join(str(self.resolve(part, logical)) for part in parts)
            case {"Fn::Split": [str(separator), text]} if len(value) == 1:
                return str(self.resolve(text, logical)).split(separator)
            case {"Fn::Select": [int(index), parts]} if len(value) == 1:
                return self.resolve(parts, logical)[index]
            case {"Fn::Sub": str(text)} if len(value) == 1:
                return re.sub(r"\$\{([^}]*)\}", lambda found: str(self._ref(found[1], logical)), text)
            case dict():
                for key in value:
                    if key.startswith("Fn::") or (key in ("Ref", "Condition") and not isinstance(value[key], dict)):
                        raise self._unresolved(logical, f"{key} cannot be resolved: {value}")
                return {key: self.resolve(each, logical) for key, each in value.items()}
            case _:
                return value

    def _ref(self, target: str, logical: str) -> str:
        if target in self._pseudo:
            return self._pseudo[target]
        kind = self._resources.get(target, {}).get("Type")
        if kind not in _NAMED:
            raise self._unresolved(logical, f"Ref {target} cannot be resolved")
        if kind == "AWS::SQS::Queue":
            suffix = self._pseudo["AWS::URLSuffix"]
            return f"https://sqs.{self._stack.region}.{suffix}/{self._stack.account}/{self._name(target)}"
        return self._arn(target) if kind in _REF_IS_ARN else self._name(target)

    def _attribute(self, target: str, attribute: str, logical: str) -> str:
        kind = self._resources.get(target, {}).get("Type", "")
        spelled = _ATTRIBUTES.get((kind, attribute), "{arn}" if attribute == "Arn" and kind in _NAMED else None)
        if spelled is None:
            raise self._unresolved(logical, f"Fn::GetAtt {target}.{attribute} cannot be resolved")
        return spelled.format(name=self._name(target), arn=self._arn(target))

    def _name(self, logical: str) -> str:
        kind = self._resources[logical]["Type"]
        given = self._properties(logical).get(_NAMED[kind][1])
        return str(self.resolve(given, logical)) if given else f"{self._stack.name}-{logical}"

    def _arn(self, logical: str) -> str:
        properties = self._properties(logical)
        bus = self.resolve(properties.get("EventBusName", "default"), logical)
        return _NAMED[self._resources[logical]["Type"]][2].format(
            partition=self._pseudo["AWS::Partition"],
            region=self._stack.region,
            account=self._stack.account,
            name=self._name(logical),
            bus="" if bus == "default" else f"{bus}/",
        )

    def _local_arn(self, service: str, account: str, resource: str) -> str:
        return f"arn:{self._pseudo['AWS::Partition']}:{service}:{self._stack.region}:{account}:{resource}"

    def _statements(self, logical: str) -> list[Statement]:
        statements: list[Statement] = self._document(logical, self._properties(logical)["PolicyDocument"])["Statement"]
        return statements

    def _document(self, logical: str, document: Policy | str) -> Policy:
        if isinstance(document, str):  # X-Ray has it as text
            document = json.loads(document)
        if not isinstance(document, dict) or not isinstance(document.get("Statement"), list):
            raise self._unresolved(logical, "a policy document without a list of statements")
        self._read |= {id(statement) for statement in document["Statement"]}
        resolved: Policy = self.resolve(document, logical)
        return resolved

    def _refuse_unread(self, logical: str, node: Any) -> None:
        """Every statement of the template has to have been read above."""
        if isinstance(node, dict):
            is_statement = {"Effect", "Principal"} & set(node) and {"Action", "NotAction"} & set(node)
            is_permission = self._resources[logical]["Type"] == "AWS::Lambda::Permission"
            if is_statement and not is_permission and id(node) not in self._read:
                raise self._unresolved(logical, "a policy statement where none is known here")
            for each in node.values():
                self._refuse_unread(logical, each)
        elif isinstance(node, list):
            for each in node:
                self._refuse_unread(logical, each)

    def _of_type(self, kind: str) -> list[str]:
        return [logical for logical, resource in self._resources.items() if resource["Type"] == kind]

    def _properties(self, logical: str) -> Properties:
        properties: Properties = self._resources[logical].get("Properties", {})
        return properties

    def _unresolved(self, logical: str, what: str) -> UnresolvedError:
        return UnresolvedError(f"{self._stack.name}/{logical}: {what}")


_POLICIES: dict[str, Callable[[StackReader, str], Iterator[tuple[str, list[Statement]]]]] = {
    "AWS::S3::BucketPolicy": StackReader.bucket_policy,
    "AWS::SQS::QueuePolicy": StackReader.queue_policy,
    "AWS::SNS::TopicPolicy": StackReader.topic_policy,
    "AWS::Events::EventBusPolicy": StackReader.bus_policy,
    "AWS::Lambda::Permission": StackReader.permission,
}
_OWN_DOCUMENT = {
    "key": "KeyPolicy",
    "role": "AssumeRolePolicyDocument",
    "repository": "RepositoryPolicyText",
    "endpoint": "PolicyDocument",
    "traces": "PolicyDocument",
}
"""Where what is guarded holds its own policy."""
_ONE_DOCUMENT = ("AWS::S3::BucketPolicy", "AWS::SQS::QueuePolicy", "AWS::SNS::TopicPolicy")


def _lambda_principal(principal: str, partition_name: str) -> object:
    if principal == "*":
        return "*"
    if re.fullmatch(r"[0-9]{12}", principal):
        return {"AWS": f"arn:{partition_name}:iam::{principal}:root"}
    if principal.startswith("arn:"):
        return {"AWS": principal}
    return {"Service": principal}
