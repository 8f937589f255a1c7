"""The resources of a template: their ARNs, and values with their intrinsic functions resolved.

An unknown intrinsic function, section of a template or attribute of a resource is an error.
"""

import json
import re
from functools import cached_property
from typing import Any

from access.assembly import AssemblyError, StackTemplate
from stacks.deployment.regions import dns_suffix, partition

Properties = dict[str, Any]


class UnresolvedError(AssemblyError):
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

`{name}` is the value of that property. If CloudFormation chooses the name, it is the physical id of a deployed
resource, or stack and logical id instead.
"""
_REF_IS_ARN = (
    "AWS::SNS::Topic",
    "AWS::StepFunctions::StateMachine",
    "AWS::ECS::TaskDefinition",
    "AWS::IAM::ManagedPolicy",
)
# Attributes other than `Arn` with a known form. All others stand for themselves: `stack/logical id.attribute`.
_ATTRIBUTES = {
    ("AWS::EC2::SecurityGroup", "GroupId"): "{name}",
    ("AWS::SageMaker::Domain", "DomainId"): "{name}",
    ("AWS::SageMaker::Domain", "DomainArn"): "{arn}",
}
_SECTIONS = {"Description", "Resources", "Outputs", "Parameters", "Rules"}
_RESOURCE_KEYS = {"Type", "Properties", "DependsOn", "DeletionPolicy", "UpdateReplacePolicy", "Metadata"}
_METADATA = ("aws:cdk:", "aws:asset:", "cdk_nag")
_OLDER: Properties = {"Fn::Contains": [["1", "2", "3", "4", "5"], {"Ref": "BootstrapVersion"}]}
_ADVICE = "CDK bootstrap stack version 6 required. Please run 'cdk bootstrap' with a recent version of the CDK CLI."
_RULES = {"CheckBootstrapVersion": {"Assertions": [{"Assert": {"Fn::Not": [_OLDER]}, "AssertDescription": _ADVICE}]}}
"""The rule that CDK adds."""
_SSM_VALUE = "AWS::SSM::Parameter::Value<String>"
_BOOTSTRAP = r"/cdk-bootstrap/[a-z0-9]+/version"
"""The SSM parameter with the version of CDK's bootstrap stack."""


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

    def check(self) -> None:
        """Check that the whole template is read.

        Raises:
            UnresolvedError: a section, an attribute of a resource, a parameter or an intrinsic function is unknown.
        """
        template = self.stack.template
        if sections := set(template) - _SECTIONS:
            raise UnresolvedError(
                f"{self.stack.name}: section {', '.join(sorted(sections))} of the template is unknown"
            )
        if template.get("Rules", {}) != (_RULES if "Parameters" in template else {}):
            raise UnresolvedError(f"{self.stack.name}: the template has a rule that is unknown, or not that of CDK")
        bootstrap, _ = self.stack.bootstrap or (_BOOTSTRAP, 0)
        for name, parameter in template.get("Parameters", {}).items():
            known = {
                "Type": _SSM_VALUE,
                "Default": parameter.get("Default"),
                "Description": parameter.get("Description"),
            }
            if (name, parameter) != ("BootstrapVersion", known) or not re.fullmatch(bootstrap, str(known["Default"])):
                raise UnresolvedError(f"{self.stack.name}: parameter {name} has a value that is not in the template")
        for logical, resource in self.all.items():
            unknown = sorted(set(resource) - _RESOURCE_KEYS) if isinstance(resource, dict) else [logical]
            if not unknown:  # other tools read their exceptions there
                unknown = [key for key in resource.get("Metadata", {}) if not key.startswith(_METADATA)]
            if unknown or "Type" not in resource:
                raise self.unresolved(logical, f"{', '.join(unknown) or 'its type'} is unknown")
            self.resolve(resource.get("Properties", {}), logical)
            self.resolve(resource.get("Metadata", {}), logical)
        for name, output in template.get("Outputs", {}).items():
            if set(output) - {"Value", "Description"}:
                raise self.unresolved(name, f"an output has {', '.join(sorted(output))}")
            self.resolve(output, name)

    @property
    def outputs(self) -> dict[str, Any]:
        """The values of the stack's outputs."""
        outputs = self.stack.template.get("Outputs", {})
        return {name: self.resolve(output["Value"], name) for name, output in outputs.items()}

    @property
    def descriptions(self) -> dict[str, str]:
        """The descriptions of the stack and of its outputs."""
        template = self.stack.template
        outputs = template.get("Outputs", {}).items()
        return {"": template.get("Description", "")} | {name: output.get("Description", "") for name, output in outputs}

    @cached_property
    def by_construct(self) -> dict[str, str]:
        """The logical ids by construct path without separators: `TaskRole` is the path of `Task/Role`.

        CDK appends a hash, except to resources directly below the stack.

        Raises:
            UnresolvedError: two resources have one path.
        """
        ids: dict[str, str] = {}
        for logical in self.all:
            construct = re.sub(r"[0-9A-F]{8}$", "", logical)
            if construct in ids:
                raise self.unresolved(logical, f"is a second resource for the construct {construct}")
            ids[construct] = logical
        return ids

    def logical(self, construct: str) -> str:
        """Return the logical id of a construct.

        Raises:
            UnresolvedError: there is none.
        """
        if construct not in self.by_construct:
            raise UnresolvedError(f"{self.stack.name}: the template has no resource {construct}")
        return self.by_construct[construct]

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
            case {"Fn::Select": [int(index), {"Fn::GetAZs": ""}]} if len(value) == 1:
                return f"zone {index} of {self.stack.region}"
            case {"Fn::Select": [int(index), parts]} if len(value) == 1:
                return self._select(index, self.resolve(parts, logical), logical)
            case {"Fn::Sub": str(text)} if len(value) == 1:
                return re.sub(r"\$\{([^}]*)\}", lambda match: str(self._ref(match[1], logical)), text)
            case dict():
                for key in value:
                    if key.startswith("Fn::") or (key in ("Ref", "Condition") and not isinstance(value[key], dict)):
                        raise self.unresolved(logical, f"{key} cannot be resolved: {value}")
                return {key: self.resolve(item, logical) for key, item in value.items()}
            case _:
                return value

    @property
    def placeholders(self) -> list[str]:
        """The texts that stand for names and attributes that CloudFormation generates."""
        unnamed = [id for id in self.all if self.name(id) == f"{self.stack.name}-{id}"]
        return [*(f"{self.stack.name}-{id}" for id in unnamed), *(f"{self.stack.name}/{id}." for id in self.all)]

    def refuse_placeholders(self, placeholders: re.Pattern[str]) -> None:
        """Check that no text of the template itself is a placeholder: it would be the name of something else.

        Raises:
            UnresolvedError: a text is one, also if it is joined.
        """
        written = _Written(self.stack)
        for logical, resource in self.all.items():
            text = json.dumps(written.resolve(resource.get("Properties", {}), logical))
            if found := placeholders.search(text):
                raise self.unresolved(logical, f"{found[0]} is not a reference, but a text")

    def _select(self, index: int, parts: Any, logical: str) -> Any:
        if not isinstance(parts, list) or not 0 <= index < len(parts):
            raise self.unresolved(logical, f"Fn::Select {index} of {parts} cannot be resolved")
        return parts[index]

    def _ref(self, target: str, logical: str) -> str:
        if target in self._pseudo:
            return self._pseudo[target]
        if target not in self.all:
            raise self.unresolved(logical, f"Ref {target} cannot be resolved")
        kind = self.all[target]["Type"]
        if kind == "AWS::SQS::Queue":
            if target in self.stack.physical_ids:
                return self.stack.physical_ids[target]
            suffix = self._pseudo["AWS::URLSuffix"]
            return f"https://sqs.{self.stack.region}.{suffix}/{self.stack.account}/{self.name(target)}"
        return self.arn(target) if kind in _REF_IS_ARN else self.name(target)

    def _attribute(self, target: str, attribute: str, logical: str) -> str:
        if target not in self.all:
            raise self.unresolved(logical, f"Fn::GetAtt {target}.{attribute} cannot be resolved")
        kind = self.all[target]["Type"]
        if attribute == "Arn" and kind in NAMED:
            return self.arn(target)
        if attribute == NAMED.get(kind, ("", ""))[1]:
            return self.name(target)
        form = _ATTRIBUTES.get((kind, attribute))
        return (
            form.format(name=self.name(target), arn=self.arn(target))
            if form
            else f"{self.stack.name}/{target}.{attribute}"
        )

    def name(self, logical: str) -> str:
        """Return a resource's name: the one in its properties, or the physical id without the ARN around it."""
        name = self.properties(logical).get(NAMED.get(self.all[logical]["Type"], ("", ""))[1])
        if name:
            return str(self.resolve(name, logical))
        physical = self.stack.physical_ids.get(logical, f"{self.stack.name}-{logical}")
        return re.sub(r"^arn:.*[/:]|.*\|", "", physical)  # some ids are ARNs, and a rule's is `bus|rule`

    def arn(self, logical: str) -> str:
        """Return the ARN of a resource whose type is in `NAMED`."""
        properties = self.properties(logical)
        if properties.get("Path", "/") != "/":
            raise self.unresolved(logical, f"has the path {properties['Path']}, which is a part of its ARN")
        bus = self.resolve(properties.get("EventBusName", "default"), logical)
        resource = NAMED[self.all[logical]["Type"]][2].format(
            region=self.stack.region,
            account=self.stack.account,
            name=self.name(logical),
            bus="" if bus == "default" else f"{bus}/",
        )
        return f"arn:{self.partition}:{resource}"

    def arn_here(self, service: str, resource: str) -> str:
        """Return the ARN of a resource in the stack's partition, Region and account."""
        return f"arn:{self.partition}:{service}:{self.stack.region}:{self.stack.account}:{resource}"

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


class _Written(Resources):
    """The texts that stand in a template. A reference to a resource has none."""

    def _select(self, index: int, parts: Any, logical: str) -> Any:
        # A reference can have any number of parts.
        unknown = isinstance(parts, list) and any(_NOTHING in part for part in parts)
        return " ".join(parts) if unknown else super()._select(index, parts, logical)

    def _ref(self, target: str, logical: str) -> str:  # noqa: ARG002 - Resources has these arguments
        return self._pseudo.get(target, _NOTHING)

    def _attribute(self, target: str, attribute: str, logical: str) -> str:  # noqa: ARG002 - the same
        return _NOTHING


_NOTHING = "\ue000"
