"""Ways to break a research environment's policies, as `mutants.py` has them for messages: each has to be caught."""

from collections.abc import Callable, Iterator
from typing import Any

from access.assembly import StackTemplate
from tests.policies.mutants import EVIL, Mutant, Templates, every_way
from tests.policies.mutants import _drop as drop
from tests.policies.mutants import _to as to
from tests.policies.rows import STRANGER

Node = dict[str, Any]
SSO, LAB = "coatcheck-research", "coatcheck-lab-research"
"""The stacks of `research.toml` and of `research-images.toml`."""
_ACCOUNT = ("Condition", "StringEquals", "aws:SourceAccount")
_BUCKET = "arn:aws:s3:::coatcheck-research-555555555555-us-east-1"
_ROLE = "AWS::IAM::Role"


def _studio(t: Templates, sid: str) -> Node:
    """A statement of what every researcher may do."""
    return _said(t.one(SSO, "AWS::IAM::ManagedPolicy"), sid)


def _of(t: Templates, role: str, sid: str, stack: str = SSO) -> Node:
    return _said(t.one(stack, "AWS::IAM::Policy", role), sid)


def _said(properties: Node, sid: str) -> Node:
    (statement,) = (each for each in properties["PolicyDocument"]["Statement"] if each.get("Sid") == sid)
    found: Node = statement
    return found


def _trust(t: Templates, role: str, stack: str = SSO) -> Node:
    statement: Node = t.one(stack, _ROLE, role)["AssumeRolePolicyDocument"]["Statement"][0]
    return statement


def _endpoint(t: Templates, name: str) -> Node:
    return t.one(SSO, "AWS::EC2::VPCEndpoint", f"Network{name}")


def _forget(properties: Node, sid: str) -> None:
    properties["PolicyDocument"]["Statement"].remove(_said(properties, sid))


def _grant(t: Templates, role: str, action: str, resource: str = "*", stack: str = SSO) -> None:
    t.grant(stack, role, action, resource)


_BREAKS: dict[str, dict[str, Callable[[Templates], object]]] = {
    SSO: {
        # One researcher and another's data.
        "ada reads everybody's private prefix": lambda t: to(
            _of(t, "RolesUserada", "ReadAndWriteOwnPrefixes"), "Resource", f"{_BUCKET}/users/*"
        ),
        "ada reads grace's private prefix too": lambda t: _grant(
            t, "RolesUserada", "s3:GetObject", f"{_BUCKET}/users/grace-example-com/*"
        ),
        "ada reads whoever's name begins like hers": lambda t: to(
            _of(t, "RolesUserada", "ReadAndWriteOwnPrefixes"),
            "Resource",
            [f"{_BUCKET}/shared/*", f"{_BUCKET}/users/ada*"],
        ),
        "ada lists all": lambda t: drop(_of(t, "RolesUserada", "ListOwnPrefixes"), "Condition"),
        "ada lists everybody's private prefix": lambda t: to(
            _of(t, "RolesUserada", "ListOwnPrefixes"), "Condition", "StringLike", "s3:prefix", "users/*"
        ),
        "ada's profile runs as grace": lambda t: to(
            t.one(SSO, "AWS::SageMaker::UserProfile", "UsersProfileada"),
            "UserSettings",
            t.one(SSO, "AWS::SageMaker::UserProfile", "UsersProfilegrace")["UserSettings"],
        ),
        "whoever has no profile chooses whose prefix": lambda t: to(
            _of(t, "RolesResearcher", "ReadAndWriteOwnPrefixes"),
            "Resource",
            [f"{_BUCKET}/shared/*", f"{_BUCKET}/users/${{aws:userid}}/*"],
        ),
        "whoever has no profile reads everybody's": lambda t: to(
            _of(t, "RolesResearcher", "ReadAndWriteOwnPrefixes"),
            "Resource",
            [f"{_BUCKET}/shared/*", f"{_BUCKET}/users/*/*"],
        ),
        "sessions do not name the researcher": lambda t: drop(t.one(SSO, "AWS::SageMaker::Domain"), "DomainSettings"),
        "jobs read private prefixes": lambda t: _grant(t, "RolesProcessing", "s3:GetObject", f"{_BUCKET}/users/*"),
        "shared spaces have a private prefix": lambda t: _grant(
            t, "RolesSharedSpaces", "s3:GetObject", f"{_BUCKET}/users/${{aws:SourceIdentity}}/*"
        ),
        "shared spaces run as a researcher": lambda t: to(
            t.one(SSO, "AWS::SageMaker::Domain")["DefaultSpaceSettings"],
            "ExecutionRole",
            t.one(SSO, "AWS::SageMaker::Domain")["DefaultUserSettings"]["ExecutionRole"],
        ),
        "a researcher's app in another's private space": lambda t: drop(_studio(t, "OwnApps"), "Condition", "ArnLike"),
        "a researcher changes another's space": lambda t: drop(_studio(t, "OwnSpaces"), "Condition", "ArnLike"),
        "a researcher signs on as another": lambda t: to(_studio(t, "OpenStudio"), "Resource", "*"),
        # More than one is meant to be.
        "a researcher passes any role": lambda t: to(_studio(t, "PassProcessingRole"), "Resource", "*"),
        "a researcher passes every role of the deployment": lambda t: to(
            _studio(t, "PassProcessingRole"), "Resource", "arn:aws:iam::555555555555:role/coatcheck-*"
        ),
        "a researcher passes the role to any service": lambda t: drop(_studio(t, "PassProcessingRole"), "Condition"),
        "a researcher passes the role to Lambda": lambda t: to(
            _studio(t, "PassProcessingRole"), "Condition", "StringEquals", "iam:PassedToService", "lambda.amazonaws.com"
        ),
        "a researcher takes off the boundary": lambda t: _grant(t, "RolesUserada", "iam:DeleteRolePermissionsBoundary"),
        "a researcher becomes other roles": lambda t: _grant(t, "RolesUserada", "sts:AssumeRole"),
        "a researcher acts in another account": lambda t: _grant(
            t, "RolesUserada", "s3:PutObject", "arn:aws:s3:::of-a-stranger/*"
        ),
        "a researcher is an administrator": lambda t: _grant(t, "RolesUserada", "*"),
        "a researcher has all of SageMaker": lambda t: to(
            t.one(SSO, _ROLE, "RolesUserada"),
            "ManagedPolicyArns",
            ["arn:aws:iam::aws:policy/AmazonSageMakerFullAccess"],
        ),
        "any machine": lambda t: _forget(t.one(SSO, "AWS::IAM::ManagedPolicy"), "OnlyTheseInstanceTypes"),
        "any machine beside a small one": lambda t: to(
            _studio(t, "OnlyTheseInstanceTypes"),
            "Condition",
            {"ForAllValues:StringNotEquals": {"sagemaker:InstanceTypes": ["ml.t3.medium", "system"]}},
        ),
        "jobs outside the network": lambda t: _forget(t.one(SSO, "AWS::IAM::ManagedPolicy"), "NoJobOutsideTheNetwork"),
        "jobs in another network": lambda t: _forget(t.one(SSO, "AWS::IAM::ManagedPolicy"), "NoJobInAnotherNetwork"),
        "jobs under any name": lambda t: to(_studio(t, "OwnJobs"), "Resource", "*"),
        "tags changed later": lambda t: drop(_studio(t, "TagNewResources"), "Condition"),
        "grants to anybody": lambda t: drop(_studio(t, "EncryptVolumes"), "Condition"),
        "data decrypted directly": lambda t: drop(_of(t, "RolesUserada", "UseKeyThroughS3"), "Condition"),
        # Trust.
        "SageMaker on anybody's behalf": lambda t: drop(_trust(t, "RolesUserada"), "Condition"),
        "SageMaker on a stranger's behalf": lambda t: to(_trust(t, "RolesProcessing"), *_ACCOUNT, STRANGER),
        "CodeBuild on anybody's behalf": lambda t: drop(_trust(t, "ImagepegasusBuildstudioRole"), "Condition"),
        "Step Functions on anybody's behalf": lambda t: drop(_trust(t, "CleanUpProviderwaiter"), "Condition"),
        "flow logs on anybody's behalf": lambda t: drop(_trust(t, "NetworkFlowLogRole"), "Condition"),
        "EC2 becomes a researcher": lambda t: to(
            _trust(t, "RolesUserada"), "Principal", {"Service": "ec2.amazonaws.com"}
        ),
        "a stranger becomes a researcher": lambda t: to(_trust(t, "RolesUserada"), "Principal", {"AWS": EVIL}),
        "the account becomes a job": lambda t: to(_trust(t, "RolesProcessing"), "Principal", {"AWS": "555555555555"}),
        "a researcher tags the session": lambda t: to(
            _trust(t, "RolesUserada"), "Action", ["sts:AssumeRole", "sts:TagSession"]
        ),
        # Images.
        "builds push to every repository": lambda t: _grant(t, "ImagepegasusBuildstudioRole", "ecr:PutImage"),
        "researchers push images": lambda t: _grant(t, "RolesUserada", "ecr:PutImage"),
        "researchers start builds": lambda t: _grant(t, "RolesUserada", "codebuild:StartBuild"),
        "tags are pushed again": lambda t: to(t.one(SSO, "AWS::ECR::Repository"), "ImageTagMutability", "MUTABLE"),
        "images are not scanned": lambda t: drop(t.one(SSO, "AWS::ECR::Repository"), "ImageScanningConfiguration"),
        "a stranger pushes images": lambda t: to(
            t.one(SSO, "AWS::ECR::Repository"),
            "RepositoryPolicyText",
            {"Statement": [{"Effect": "Allow", "Principal": {"AWS": EVIL}, "Action": "ecr:PutImage"}]},
        ),
        "anybody pulls images": lambda t: to(
            t.one(SSO, "AWS::ECR::Repository"),
            "RepositoryPolicyText",
            {"Statement": [{"Effect": "Allow", "Principal": "*", "Action": "ecr:BatchGetImage"}]},
        ),
        "Studio runs an image by tag": lambda t: to(
            t.one(SSO, "AWS::SageMaker::ImageVersion", "ImagepegasusJupyterLab"), "BaseImage", "repository:latest"
        ),
        "a build runs as the processing role": lambda t: to(
            t.one(SSO, "AWS::CodeBuild::Project", "ImagepegasusBuildstudio"),
            "ServiceRole",
            {"Fn::GetAtt": [next(r for r in t.resources[SSO] if r.startswith("RolesProcessing")), "Arn"]},
        ),
        "the build function runs as the clean-up": lambda t: to(
            t.one(SSO, "AWS::Lambda::Function", "ImageBuilderBuild"),
            "Role",
            t.one(SSO, "AWS::Lambda::Function", "CleanUpFunction")["Role"],
        ),
        # Ways out.
        "apps go out to the internet": lambda t: to(
            t.one(SSO, "AWS::SageMaker::Domain"), "AppNetworkAccessType", "PublicInternetOnly"
        ),
        "S3 takes anybody's credentials": lambda t: drop(
            _endpoint(t, "VpcS3")["PolicyDocument"]["Statement"][0], "Condition", "StringEquals", "aws:PrincipalAccount"
        ),
        "S3 leads to anybody's buckets": lambda t: drop(
            _endpoint(t, "VpcS3")["PolicyDocument"]["Statement"][0], "Condition", "StringEquals", "aws:ResourceAccount"
        ),
        "S3 without a policy": lambda t: drop(_endpoint(t, "VpcS3"), "PolicyDocument"),
        "image layers are written": lambda t: to(
            _endpoint(t, "VpcS3")["PolicyDocument"]["Statement"][1], "Action", ["s3:GetObject", "s3:PutObject"]
        ),
        "image layers of any bucket": lambda t: to(
            _endpoint(t, "VpcS3")["PolicyDocument"]["Statement"][1], "Resource", "arn:aws:s3:::*/*"
        ),
        "logs take anybody's credentials": lambda t: drop(_endpoint(t, "Logs"), "PolicyDocument"),
        "SageMaker takes a stranger's credentials": lambda t: to(
            _endpoint(t, "SageMakerRuntime")["PolicyDocument"]["Statement"][0],
            *("Condition", "StringEquals", "aws:PrincipalAccount"),
            ["555555555555", STRANGER],
        ),
        "something is let in": lambda t: (
            drop(t.one(SSO, "AWS::EC2::SecurityGroupIngress", "NetworkSecurityGroup"), "SourceSecurityGroupId"),
            to(t.one(SSO, "AWS::EC2::SecurityGroupIngress", "NetworkSecurityGroup"), "CidrIp", "0.0.0.0/0"),
        ),
        # Data and key.
        "data in the clear": lambda t: t.remove(SSO, "DataPolicy"),
        "data readable by a stranger": lambda t: t.open(SSO, "AWS::S3::BucketPolicy", {"AWS": EVIL}, "s3:GetObject"),
        "data public": lambda t: drop(t.one(SSO, "AWS::S3::Bucket"), "PublicAccessBlockConfiguration"),
        "data replicated": lambda t: to(t.one(SSO, "AWS::S3::Bucket"), "ReplicationConfiguration", {"Rules": []}),
        "a stranger's key": lambda t: to(
            t.one(SSO, "AWS::KMS::Key")["KeyPolicy"]["Statement"][0], "Principal", {"AWS": EVIL}
        ),
        "volumes under another key": lambda t: to(t.one(SSO, "AWS::SageMaker::Domain"), "KmsKeyId", "another"),
        # Clean-up.
        "the clean-up deletes in every domain": lambda t: to(
            _of(t, "CleanUpPermissions", "DeleteApps"), "Resource", "arn:aws:sagemaker:us-east-1:555555555555:app/*"
        ),
        "the clean-up stops everybody's jobs": lambda t: to(_of(t, "CleanUpPermissions", "StopJobs"), "Resource", "*"),
        "the clean-up deletes data": lambda t: _grant(t, "CleanUpPermissions", "s3:DeleteObject", f"{_BUCKET}/*"),
        "anybody calls the clean-up": lambda t: t.add(
            SSO,
            "AWS::Lambda::Permission",
            Action="lambda:InvokeFunction",
            Principal="*",
            FunctionName="coatcheck-domain-clean-up",
        ),
    },
    LAB: {
        "no boundary": lambda t: drop(t.one(LAB, _ROLE, "RolesUserada"), "PermissionsBoundary"),
        "no boundary for the framework": lambda t: drop(
            t.one(LAB, _ROLE, "CleanUpProviderframeworkonEvent"), "PermissionsBoundary"
        ),
        "another boundary": lambda t: to(
            t.one(LAB, _ROLE, "RolesProcessing"),
            "PermissionsBoundary",
            "arn:aws:iam::aws:policy/AdministratorAccess",
        ),
        "readable buckets are written": lambda t: to(
            _of(t, "RolesUserada", "ReadReadableBuckets", LAB), "Action", ["s3:GetObject", "s3:PutObject"]
        ),
        "any bucket is readable": lambda t: to(_of(t, "RolesUserada", "ReadReadableBuckets", LAB), "Resource", "*"),
        "the workstation passes any role": lambda t: to(_of(t, "WorkstationRole", "PassRoles", LAB), "Resource", "*"),
        "the workstation passes roles to anybody": lambda t: drop(
            _of(t, "WorkstationRole", "PassRoles", LAB), "Condition"
        ),
        "the workstation changes every domain": lambda t: to(
            _of(t, "WorkstationRole", "AttachImages", LAB), "Resource", "*"
        ),
        "the workstation makes any image": lambda t: to(_of(t, "WorkstationRole", "MakeImages", LAB), "Resource", "*"),
        "the workstation reads data": lambda t: _grant(t, "WorkstationRole", "s3:GetObject", stack=LAB),
        "the workstation on anybody's behalf": lambda t: drop(_trust(t, "WorkstationRole", LAB), "Condition"),
        "the workstation on the internet": lambda t: to(
            t.one(LAB, "AWS::SageMaker::NotebookInstance"), "DirectInternetAccess", "Enabled"
        ),
        "the workstation with root": lambda t: to(
            t.one(LAB, "AWS::SageMaker::NotebookInstance"), "RootAccess", "Enabled"
        ),
        "the workstation with old metadata": lambda t: drop(
            t.one(LAB, "AWS::SageMaker::NotebookInstance"), "InstanceMetadataServiceConfiguration"
        ),
        "the workstation runs as a researcher": lambda t: to(
            t.one(LAB, "AWS::SageMaker::NotebookInstance"),
            "RoleArn",
            t.one(LAB, "AWS::SageMaker::Domain")["DefaultUserSettings"]["ExecutionRole"],
        ),
        "the schedule on anybody's behalf": lambda t: drop(_trust(t, "WorkstationStopRole", LAB), "Condition"),
        "the schedule stops any instance": lambda t: to(_of(t, "WorkstationStopRole", "Stop", LAB), "Resource", "*"),
        "the schedule starts the instance": lambda t: to(
            t.one(LAB, "AWS::Scheduler::Schedule")["Target"],
            "Arn",
            "arn:aws:scheduler:::aws-sdk:sagemaker:startNotebookInstance",
        ),
    },
}
BY_HAND = {stack: [Mutant(name, breaks) for name, breaks in some.items()] for stack, some in _BREAKS.items()}

# Of what is there several times over, once: grace is as ada, one build as another, one provider as the other.
_AGAIN = ("RolesUsergrace", "RolesSharedSpaces", "ImagepegasusBuildcode", "ImagepegasusBuildprocessing")
_AGAIN_TOO = ("CleanUpProvider", "ImageBuilderProviderframeworkisComplete", "ImageBuilderProviderframeworkonTimeout")


def every_way_once(stacks: tuple[StackTemplate, ...]) -> Iterator[Mutant]:
    """`every_way`, without what is there several times over."""
    return (each for each in every_way(stacks) if not each.name.split("/")[1].startswith((*_AGAIN, *_AGAIN_TOO)))
