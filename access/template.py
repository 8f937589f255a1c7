"""The resources of a template: their ARNs, and values with their intrinsic functions resolved.

An unknown intrinsic function is an error.
"""

import re
from typing import Any

from access.assembly import StackTemplate
from stacks.deployment.regions import dns_suffix, partition

Properties = dict[str, Any]


class UnresolvedError(ValueError):
    """A template has a value that cannot be resolved. The message names stack and resource."""


NAMED: dict[str, tuple[str, str, str]] = {
    "AWS::S3::Bucket": ("bucket", "BucketName", "s3:::{name}"),
    "AWS::KMS::Key": ("key", "", "kms:{region}:{account}:key/{name}"),
    "AWS::SNS::Topic": ("topic", "TopicName", "sns:{region}:{account}:{name}"),
    "AWS::SQS::Queue": ("queue", "QueueName", "sqs:{region}:{account}:{name}"),
    "AWS::Lambda::Function": ("function", "FunctionName", "lambda:{region}:{account}:function:{name}"),
    "AWS::Events::EventBus": ("bus", "Name", "events:{region}:{account}:event-bus/{name}"),
    "AWS::IAM::Role": ("role", "RoleName", "iam::{account}:role/{name}"),
    "AWS::Events::Rule": ("rule", "Name", "events:{region}:{account}:rule/{bus}{name}"),
    "AWS::Logs::LogGroup": ("log group", "LogGroupName", "logs:{region}:{account}:log-group:{name}:*"),
    "AWS::DynamoDB::GlobalTable": ("table", "TableName", "dynamodb:{region}:{account}:table/{name}"),
    "AWS::StepFunctions::StateMachine": (
        "state machine",
        "StateMachineName",
        "states:{region}:{account}:stateMachine:{name}",
    ),
    "AWS::ECS::Cluster": ("cluster", "ClusterName", "ecs:{region}:{account}:cluster/{name}"),
    "AWS::ECS::TaskDefinition": ("task definition", "Family", "ecs:{region}:{account}:task-definition/{name}:1"),
    "AWS::ECR::Repository": ("repository", "RepositoryName", "ecr:{region}:{account}:repository/{name}"),
    "AWS::EC2::SecurityGroup": ("security group", "", "ec2:{region}:{account}:security-group/{name}"),
    "AWS::EC2::Subnet": ("subnet", "", "ec2:{region}:{account}:subnet/{name}"),
    "AWS::EC2::VPCEndpoint": ("endpoint", "", "ec2:{region}:{account}:vpc-endpoint/{name}"),
    "AWS::IAM::ManagedPolicy": ("policy", "ManagedPolicyName", "iam::{account}:policy/{name}"),
    "AWS::CodeBuild::Project": ("build project", "Name", "codebuild:{region}:{account}:project/{name}"),
    "AWS::SageMaker::Domain": ("domain", "", "sagemaker:{region}:{account}:domain/{name}"),
}
"""Resource types with an ARN: the kind, the property with the resource's name, and the ARN from its service on.

`{name}` is the value of that property. If CloudFormation chooses the name, it is stack and logical id instead.
"""
_REF_IS_ARN = (
    "AWS::SNS::Topic",
    "AWS::StepFunctions::StateMachine",
    "AWS::ECS::TaskDefinition",
    "AWS::IAM::ManagedPolicy",
)
# Attributes other than `Arn` that policies use, and the value in place of the one that AWS generates.
_ATTRIBUTES = {
    ("AWS::EC2::SecurityGroup", "GroupId"): "{name}",
    ("AWS::SageMaker::Domain", "DomainId"): "{name}",
    ("AWS::SageMaker::Domain", "DomainArn"): "{arn}",
}


class Resources:
    """The resources of a stack. `all` has them by logical id."""

    def __init__(self, stack: StackTemplate) -> None:
        self.stack = stack
        self.all: dict[str, dict[str, Any]] = stack.template["Resources"]
        self.partition = partition(stack.region)
        self._pseudo = {
            "AWS::AccountId": stack.account,
            "AWS::Region": stack.region,
            "AWS::Partition": self.partition,
            "AWS::URLSuffix": dns_suffix(stack.region),
            "AWS::StackName": stack.name,
        }

    def resolve(self, value: Any, logical: str) -> Any:
        """Return a value of the resource `logical` with its intrinsic functions resolved.

        Raises:
            UnresolvedError: an intrinsic function is unknown.
        """
        match value:
            case list():
                return [self.resolve(item, logical) for item in value]
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
                return re.sub(r"\$\{([^}]*)\}", lambda match: str(self._ref(match[1], logical)), text)
            case dict():
                for key in value:
                    if key.startswith("Fn::") or (key in ("Ref", "Condition") and not isinstance(value[key], dict)):
                        raise self.unresolved(logical, f"{key} cannot be resolved: {value}")
                return {key: self.resolve(item, logical) for key, item in value.items()}
            case _:
                return value

    def _ref(self, target: str, logical: str) -> str:
        if target in self._pseudo:
            return self._pseudo[target]
        kind = self.all.get(target, {}).get("Type")
        if kind not in NAMED:
            raise self.unresolved(logical, f"Ref {target} cannot be resolved")
        if kind == "AWS::SQS::Queue":
            suffix = self._pseudo["AWS::URLSuffix"]
            return f"https://sqs.{self.stack.region}.{suffix}/{self.stack.account}/{self._name(target)}"
        return self.arn(target) if kind in _REF_IS_ARN else self._name(target)

    def _attribute(self, target: str, attribute: str, logical: str) -> str:
        kind = self.all.get(target, {}).get("Type", "")
        form = _ATTRIBUTES.get((kind, attribute), "{arn}" if attribute == "Arn" and kind in NAMED else None)
        if form is None:
            raise self.unresolved(logical, f"Fn::GetAtt {target}.{attribute} cannot be resolved")
        return form.format(name=self._name(target), arn=self.arn(target))

    def _name(self, logical: str) -> str:
        kind = self.all[logical]["Type"]
        name = self.properties(logical).get(NAMED[kind][1])
        return str(self.resolve(name, logical)) if name else f"{self.stack.name}-{logical}"

    def arn(self, logical: str) -> str:
        """Return the ARN of a resource whose type is in `NAMED`."""
        bus = self.resolve(self.properties(logical).get("EventBusName", "default"), logical)
        resource = NAMED[self.all[logical]["Type"]][2].format(
            region=self.stack.region,
            account=self.stack.account,
            name=self._name(logical),
            bus="" if bus == "default" else f"{bus}/",
        )
        return f"arn:{self.partition}:{resource}"

    def arn_here(self, service: str, resource: str, account: str | None = None) -> str:
        """Return the ARN of a resource in the stack's partition and Region, and by default in its account."""
        return f"arn:{self.partition}:{service}:{self.stack.region}:{account or self.stack.account}:{resource}"

    def of_type(self, kind: str) -> list[str]:
        """Return the logical ids of the resources of a type."""
        return [logical for logical, resource in self.all.items() if resource["Type"] == kind]

    def properties(self, logical: str) -> Properties:
        """Return the unresolved properties of a resource."""
        properties: Properties = self.all[logical].get("Properties", {})
        return properties

    def unresolved(self, logical: str, problem: str) -> UnresolvedError:
        """Return the error for a resource of the stack."""
        return UnresolvedError(f"{self.stack.name}/{logical}: {problem}")
