"""Settings of a research environment: roles, permissions boundaries, the network, images."""

import re
from collections.abc import Callable, Iterator
from typing import Any

from access.assembly import StackTemplate
from access.inventory import Inventory
from access.template import Resources
from stacks.deployment import Deployment, ResearchDeployment
from stacks.deployment.research import ResearchConfig
from tests.policies.settings import (
    ROLE_PROPERTIES,
    bucket_problems,
    is_encrypted_with,
    key_problems,
    repository_problems,
    role_problems,
    security_group_problems,
)
from tests.policies.terms import research_names

Properties = dict[str, Any]

_ROLE_PROPERTIES: dict[str, tuple[str, Callable[[str], str]]] = {
    **ROLE_PROPERTIES,
    "AWS::EC2::FlowLog": ("DeliverLogsPermissionArn", lambda _: "NetworkFlowLogRole"),
    "AWS::SageMaker::Image": ("ImageRoleArn", lambda _: "RolesImage"),
    "AWS::SageMaker::Pipeline": ("RoleArn", lambda logical: f"{logical.removesuffix('Pipeline')}Role"),
    "AWS::SageMaker::NotebookInstance": ("RoleArn", lambda _: "WorkstationRole"),
}


def research_problems(
    deployment: Deployment | ResearchDeployment, research: ResearchConfig, stack: StackTemplate, inventory: Inventory
) -> Iterator[tuple[str, str]]:
    """Yield the wrong settings of the research stack: a place and a description each."""
    settings = _Settings(deployment, research, stack, inventory)
    for logical, resource in stack.template["Resources"].items():
        for problem in settings.problems(logical, resource["Type"], resource.get("Properties", {})):
            yield f"{stack.name}/{logical}", problem


class _Settings:
    def __init__(
        self,
        deployment: Deployment | ResearchDeployment,
        research: ResearchConfig,
        stack: StackTemplate,
        inventory: Inventory,
    ) -> None:
        self._research, self._stack, self._inventory = research, stack, inventory
        self._names = research_names(deployment)
        self._key = inventory.arn_of(stack.name, "Key")
        self._resources = Resources(stack)
        self._checks: dict[str, Callable[[Properties], Iterator[str]]] = {
            "AWS::S3::Bucket": self._bucket,
            "AWS::KMS::Key": key_problems,
            "AWS::ECR::Repository": self._repository,
            "AWS::EC2::SecurityGroup": security_group_problems,
            "AWS::EC2::SecurityGroupIngress": self._ingress,
            "AWS::IAM::Policy": self._policy,
            "AWS::IAM::Role": self._role,
            "AWS::SageMaker::Domain": self._domain,
            "AWS::SageMaker::ImageVersion": self._version,
            "AWS::SageMaker::NotebookInstance": self._workstation,
            "AWS::SageMaker::UserProfile": self._profile,
            "AWS::Scheduler::Schedule": self._schedule,
        }

    def problems(self, logical: str, kind: str, properties: Properties) -> Iterator[str]:
        if kind in _ROLE_PROPERTIES:
            name, construct = _ROLE_PROPERTIES[kind]
            yield from self._check_role(properties[name], construct(re.sub(r"[0-9A-F]{8}$", "", logical)))
        if kind in self._checks:
            yield from self._checks[kind](properties)

    def _check_role(self, role: object, construct: str) -> Iterator[str]:
        yield from role_problems(self._inventory, self._stack.name, str(self._resolve(role)), construct)

    def _bucket(self, bucket: Properties) -> Iterator[str]:
        yield from bucket_problems(bucket)
        if "ReplicationConfiguration" in bucket:
            yield "is replicated"
        if not is_encrypted_with(self._key, bucket, self._resources):
            yield "data is not encrypted with the deployment's key and a bucket key"

    def _repository(self, repository: Properties) -> Iterator[str]:
        yield from repository_problems(repository)
        if self._resolve(repository.get("EncryptionConfiguration")) != {"EncryptionType": "KMS", "KmsKey": self._key}:
            yield "images are not encrypted with the deployment's key"

    def _version(self, version: Properties) -> Iterator[str]:
        match version["BaseImage"]:
            case {"Fn::Join": ["", [*parts]]} if "@" in parts and "Digest" in str(parts[-1]):
                return
            case _:
                yield f"the image has no digest: {version['BaseImage']}"

    def _role(self, role: Properties) -> Iterator[str]:
        if self._resolve(role.get("PermissionsBoundary")) != self._research.permissions_boundary:
            yield f"has the permissions boundary {role.get('PermissionsBoundary')}"

    def _policy(self, policy: Properties) -> Iterator[str]:
        """Yield a problem for a private prefix that does not require the session to name the researcher.

        The engines treat a variable without a value as no match. The condition does not rely on this.
        """
        for statement in policy["PolicyDocument"]["Statement"]:
            required = statement.get("Condition", {}).get("Null") == {"aws:SourceIdentity": "false"}
            if "${aws:SourceIdentity}" in str(statement) and not required:
                yield "a private prefix does not require a source identity"

    def _domain(self, domain: Properties) -> Iterator[str]:
        if domain.get("AppNetworkAccessType") != (
            "VpcOnly" if self._research.network == "vpc-only" else "PublicInternetOnly"
        ):
            yield f"apps have the network access {domain.get('AppNetworkAccessType')}"
        if domain.get("AuthMode") != self._research.auth.upper():
            yield f"users sign on with {domain.get('AuthMode')}"
        # Without it, sessions of researchers without an own role could not be distinguished.
        if domain.get("DomainSettings", {}).get("ExecutionRoleIdentityConfig") != "USER_PROFILE_NAME":
            yield "sessions do not name the researcher"
        if self._resolve(domain.get("KmsKeyId")) != self._key.rpartition("/")[2]:
            yield "volumes are not encrypted with the deployment's key"
        default = self._resolve(domain["DefaultUserSettings"]["ExecutionRole"])
        if default != self._names.default_studio_role.arn:
            yield f"the default role is {default}"
        yield from self._check_role(domain["DefaultSpaceSettings"]["ExecutionRole"], "RolesSharedSpaces")

    def _profile(self, profile: Properties) -> Iterator[str]:
        name, role = profile["UserProfileName"], self._resolve(profile["UserSettings"]["ExecutionRole"])
        users = [user for user in self._research.users if user.profile == name]
        if not users or role != self._names.studio_role(users[0]).arn:
            yield f"the role of {name} is {role}"

    def _workstation(self, instance: Properties) -> Iterator[str]:
        for setting, value in (
            ("DirectInternetAccess", "Disabled"),
            ("RootAccess", "Disabled"),
            ("InstanceMetadataServiceConfiguration", {"MinimumInstanceMetadataServiceVersion": "2"}),
        ):
            if instance.get(setting) != value:
                yield f"{setting} is {instance.get(setting)}"
        if "SubnetId" not in instance:
            yield "is not in the network"

    def _schedule(self, schedule: Properties) -> Iterator[str]:
        target = schedule["Target"]
        if str(target["Arn"]).endswith(":aws-sdk:sagemaker:stopNotebookInstance"):
            yield from self._check_role(target["RoleArn"], "WorkstationStopRole")
            return
        pipelines = {self._names.pipeline(pipeline.name).arn: pipeline for pipeline in self._research.pipelines}
        if target["Arn"] not in pipelines:
            yield f"calls {target['Arn']}"
        else:
            name = re.sub(r"[^A-Za-z0-9]", "", pipelines[target["Arn"]].name)
            yield from self._check_role(target["RoleArn"], f"Pipeline{name}ScheduleRole")

    def _ingress(self, rule: Properties) -> Iterator[str]:
        """Yield a problem unless the rule is for endpoints, or for one researcher's own apps of Studio Classic."""
        if "SourceSecurityGroupId" not in rule or {"CidrIp", "CidrIpv6", "SourcePrefixListId"} & set(rule):
            yield "allows ingress from other sources than the environment's apps and jobs"
            return
        group, source = (rule[name]["Fn::GetAtt"][0] for name in ("GroupId", "SourceSecurityGroupId"))
        if not re.match("NetworkEndpoints[0-9A-F]{8}$", group) and not (
            group == source and group.startswith("NetworkProfile")
        ):
            yield f"{source} reaches the ports of {group}"

    def _resolve(self, value: object) -> object:
        return self._resources.resolve(value, "settings")
