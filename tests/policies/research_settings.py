"""What decides in a research environment beside policies: who wears which role, its boundary, the way out, images."""

import re
from collections.abc import Callable, Iterator
from typing import Any

from access.assembly import StackTemplate
from access.inventory import Inventory
from access.template import Resources
from stacks.deployment import Deployment, ResearchDeployment
from stacks.deployment.research import ResearchConfig
from tests.policies.settings import BESIDE, loose_registry, open_bucket, weak_key, wears_another
from tests.policies.terms import research_names

Properties = dict[str, Any]

# Who wears which role: the property that names it, and the construct whose role it has to be.
_WEARS: dict[str, tuple[str, Callable[[str], str]]] = {
    **BESIDE,
    "AWS::EC2::FlowLog": ("DeliverLogsPermissionArn", lambda _: "NetworkFlowLogRole"),
    "AWS::SageMaker::Image": ("ImageRoleArn", lambda _: "RolesImage"),
    "AWS::SageMaker::Pipeline": ("RoleArn", lambda logical: f"{logical.removesuffix('Pipeline')}Role"),
    "AWS::SageMaker::NotebookInstance": ("RoleArn", lambda _: "WorkstationRole"),
}


def wrong_in_research(
    deployment: Deployment | ResearchDeployment, research: ResearchConfig, stack: StackTemplate, found: Inventory
) -> Iterator[tuple[str, str]]:
    """Where, and what is wrong."""
    settings = _Settings(deployment, research, stack, found)
    for logical, resource in stack.template["Resources"].items():
        for problem in settings.of(logical, resource["Type"], resource.get("Properties", {})):
            yield f"{stack.name}/{logical}", problem


class _Settings:
    def __init__(
        self,
        deployment: Deployment | ResearchDeployment,
        research: ResearchConfig,
        stack: StackTemplate,
        found: Inventory,
    ) -> None:
        self._deployment, self._research, self._stack, self._found = deployment, research, stack, found
        self._resources = Resources(stack)
        self._checks: dict[str, Callable[[Properties], Iterator[str]]] = {
            "AWS::S3::Bucket": self._bucket,
            "AWS::KMS::Key": weak_key,
            "AWS::ECR::Repository": self._repository,
            "AWS::EC2::SecurityGroup": self._security_group,
            "AWS::EC2::SecurityGroupIngress": self._ingress,
            "AWS::IAM::Role": self._role,
            "AWS::SageMaker::Domain": self._domain,
            "AWS::SageMaker::ImageVersion": self._version,
            "AWS::SageMaker::NotebookInstance": self._workstation,
            "AWS::SageMaker::UserProfile": self._profile,
            "AWS::Scheduler::Schedule": self._schedule,
        }

    def of(self, logical: str, kind: str, properties: Properties) -> Iterator[str]:
        if kind in _WEARS:
            wears, construct = _WEARS[kind]
            yield from self._wears(properties[wears], construct(re.sub(r"[0-9A-F]{8}$", "", logical)))
        if kind in self._checks:
            yield from self._checks[kind](properties)

    def _wears(self, given: object, construct: str) -> Iterator[str]:
        yield from wears_another(self._found, self._stack.name, str(self._resolved(given)), construct)

    def _bucket(self, bucket: Properties) -> Iterator[str]:
        yield from open_bucket(bucket)
        if "ReplicationConfiguration" in bucket:
            yield "is replicated"
        (rule,) = bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"]
        how = self._resolved(rule["ServerSideEncryptionByDefault"])
        if how != {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": self._key} or rule.get("BucketKeyEnabled") is not True:
            yield f"data is not encrypted with the deployment's key and a bucket key: {how}"

    def _repository(self, repository: Properties) -> Iterator[str]:
        yield from loose_registry(repository)
        if self._resolved(repository.get("EncryptionConfiguration")) != {"EncryptionType": "KMS", "KmsKey": self._key}:
            yield "images are not encrypted with the deployment's key"

    def _version(self, version: Properties) -> Iterator[str]:
        match version["BaseImage"]:
            case {"Fn::Join": ["", [*parts]]} if "@" in parts and "Digest" in str(parts[-1]):
                return
            case _:
                yield f"runs an image that is not named by digest: {version['BaseImage']}"

    def _role(self, role: Properties) -> Iterator[str]:
        if self._resolved(role.get("PermissionsBoundary")) != self._research.permissions_boundary:
            yield f"has the permission boundary {role.get('PermissionsBoundary')}"

    def _domain(self, domain: Properties) -> Iterator[str]:
        if domain.get("AppNetworkAccessType") != (
            "VpcOnly" if self._research.network == "vpc-only" else "PublicInternetOnly"
        ):
            yield f"apps go out by {domain.get('AppNetworkAccessType')}"
        if domain.get("AuthMode") != self._research.auth.upper():
            yield f"signs on by {domain.get('AuthMode')}"
        # Without it nothing says who the researcher is, and those without a role of their own could not be told apart.
        if domain.get("DomainSettings", {}).get("ExecutionRoleIdentityConfig") != "USER_PROFILE_NAME":
            yield "sessions do not name the researcher"
        if self._resolved(domain.get("KmsKeyId")) != self._key.rpartition("/")[2]:
            yield "volumes are not encrypted with the deployment's key"
        default = self._resolved(domain["DefaultUserSettings"]["ExecutionRole"])
        if default != self._role_arn(research_names(self._deployment).default_studio_role.name):
            yield f"a researcher is {default} unless their profile says otherwise"
        yield from self._wears(domain["DefaultSpaceSettings"]["ExecutionRole"], "RolesSharedSpaces")

    def _profile(self, profile: Properties) -> Iterator[str]:
        name, role = profile["UserProfileName"], self._resolved(profile["UserSettings"]["ExecutionRole"])
        own = [user for user in self._research.users if user.profile == name]
        if not own or role != self._role_arn(research_names(self._deployment).studio_role(own[0]).name):
            yield f"{name} is {role}"

    def _workstation(self, instance: Properties) -> Iterator[str]:
        for setting, must in (
            ("DirectInternetAccess", "Disabled"),
            ("RootAccess", "Disabled"),
            ("InstanceMetadataServiceConfiguration", {"MinimumInstanceMetadataServiceVersion": "2"}),
        ):
            if instance.get(setting) != must:
                yield f"{setting} is {instance.get(setting)}"
        if "SubnetId" not in instance:
            yield "is outside the network"

    def _schedule(self, schedule: Properties) -> Iterator[str]:
        target = schedule["Target"]
        if str(target["Arn"]).endswith(":aws-sdk:sagemaker:stopNotebookInstance"):
            yield from self._wears(target["RoleArn"], "WorkstationStopRole")
            return
        pipelines = {research_names(self._deployment).pipeline(p.name).arn: p for p in self._research.pipelines}
        if target["Arn"] not in pipelines:
            yield f"calls {target['Arn']}"
        else:
            name = re.sub(r"[^A-Za-z0-9]", "", pipelines[target["Arn"]].name)
            yield from self._wears(target["RoleArn"], f"Pipeline{name}ScheduleRole")

    def _security_group(self, group: Properties) -> Iterator[str]:
        if group.get("SecurityGroupIngress"):
            yield "lets something in"

    def _ingress(self, rule: Properties) -> Iterator[str]:
        if "SourceSecurityGroupId" not in rule or {"CidrIp", "CidrIpv6", "SourcePrefixListId"} & set(rule):
            yield "lets in what is not an app or a job of the environment"

    def _resolved(self, value: object) -> object:
        return self._resources.resolve(value, "settings")

    def _role_arn(self, name: str) -> str:
        return f"{self._key.split(':kms:')[0]}:iam::{self._research.account}:role/{name}"

    @property
    def _key(self) -> str:
        return self._found.arn_of(self._stack.name, "Key")
