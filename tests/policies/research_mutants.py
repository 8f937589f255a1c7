"""Mutants of a research environment's policies. A check must find each."""

from collections.abc import Callable, Iterator
from typing import Any

from access.assembly import StackTemplate
from tests.policies.mutants import NOT_KMS, OTHER_ROOT, Mutant, Templates, assign, drop, generated_mutants
from tests.policies.rows import OTHER_ACCOUNT

Node = dict[str, Any]
SSO, LAB = "coatcheck-research", "coatcheck-lab-research"
"""The stacks of `research.toml` and of `research-images.toml`."""
_ACCOUNT = ("Condition", "StringEquals", "aws:SourceAccount")
_BUCKET = "arn:aws:s3:::coatcheck-research-555555555555-us-east-1"
_ROLE = "AWS::IAM::Role"


def _studio(t: Templates, sid: str) -> Node:
    """Return a statement of the policy that all researchers have."""
    return _statement(t.find(SSO, "AWS::IAM::ManagedPolicy"), sid)


def _role_statement(t: Templates, role: str, sid: str, stack: str = SSO) -> Node:
    return _statement(t.find(stack, "AWS::IAM::Policy", role), sid)


def _statement(properties: Node, sid: str) -> Node:
    statements = properties["PolicyDocument"]["Statement"]
    (statement,) = (statement for statement in statements if statement.get("Sid") == sid)
    found: Node = statement
    return found


def _trust(t: Templates, role: str, stack: str = SSO) -> Node:
    statement: Node = t.find(stack, _ROLE, role)["AssumeRolePolicyDocument"]["Statement"][0]
    return statement


def _endpoint(t: Templates, name: str) -> Node:
    return t.find(SSO, "AWS::EC2::VPCEndpoint", f"Network{name}")


def _ingress(t: Templates) -> Node:
    return t.find(SSO, "AWS::EC2::SecurityGroupIngress", "NetworkEndpointsfromcoatcheckresearchNetworkJobs")


def _let_in(t: Templates, target: str, source: str) -> None:
    """Add a rule by which a group's members reach the ports of another group's members."""
    groups = {
        name: next(r for r in t.resources[SSO] if r.startswith(name) and r[len(name) :].isalnum())
        for name in (target, source)
    }
    t.add(
        SSO,
        "AWS::EC2::SecurityGroupIngress",
        GroupId={"Fn::GetAtt": [groups[target], "GroupId"]},
        SourceSecurityGroupId={"Fn::GetAtt": [groups[source], "GroupId"]},
        IpProtocol="tcp",
        FromPort=8888,
        ToPort=8888,
    )


def _remove_statement(properties: Node, sid: str) -> None:
    properties["PolicyDocument"]["Statement"].remove(_statement(properties, sid))


def _allow(t: Templates, role: str, action: str, resource: str = "*", stack: str = SSO) -> None:
    t.allow(stack, role, action, resource)


_CHANGES: dict[str, dict[str, Callable[[Templates], object]]] = {
    SSO: {
        # Private prefixes.
        "ada reads every private prefix": lambda t: assign(
            _role_statement(t, "RolesUserada", "ReadAndWriteOwnPrefixes"), "Resource", f"{_BUCKET}/users/*"
        ),
        "ada reads grace's private prefix": lambda t: _allow(
            t, "RolesUserada", "s3:GetObject", f"{_BUCKET}/users/grace-example-com/*"
        ),
        "ada reads prefixes with the same beginning": lambda t: assign(
            _role_statement(t, "RolesUserada", "ReadAndWriteOwnPrefixes"),
            "Resource",
            [f"{_BUCKET}/shared/*", f"{_BUCKET}/users/ada*"],
        ),
        "ada lists every private prefix": lambda t: assign(
            _role_statement(t, "RolesUserada", "ListOwnPrefixes"), "Condition", "StringLike", "s3:prefix", "users/*"
        ),
        "ada's profile has grace's role": lambda t: assign(
            t.find(SSO, "AWS::SageMaker::UserProfile", "UsersProfileada"),
            "UserSettings",
            t.find(SSO, "AWS::SageMaker::UserProfile", "UsersProfilegrace")["UserSettings"],
        ),
        "users without a profile: prefix of the user id": lambda t: assign(
            _role_statement(t, "RolesResearcher", "ReadAndWritePrivatePrefix"),
            "Resource",
            f"{_BUCKET}/users/${{aws:userid}}/*",
        ),
        "users without a profile: read every private prefix": lambda t: assign(
            _role_statement(t, "RolesResearcher", "ReadAndWritePrivatePrefix"), "Resource", f"{_BUCKET}/users/*/*"
        ),
        "users without a profile: sessions without an identity": lambda t: drop(
            _role_statement(t, "RolesResearcher", "ReadAndWritePrivatePrefix"), "Condition"
        ),
        "sessions do not name the researcher": lambda t: drop(t.find(SSO, "AWS::SageMaker::Domain"), "DomainSettings"),
        "jobs read private prefixes": lambda t: _allow(t, "RolesProcessing", "s3:GetObject", f"{_BUCKET}/users/*"),
        "shared spaces have a private prefix": lambda t: _allow(
            t, "RolesSharedSpaces", "s3:GetObject", f"{_BUCKET}/users/${{aws:SourceIdentity}}/*"
        ),
        "shared spaces have a researcher's role": lambda t: assign(
            t.find(SSO, "AWS::SageMaker::Domain")["DefaultSpaceSettings"],
            "ExecutionRole",
            t.find(SSO, "AWS::SageMaker::Domain")["DefaultUserSettings"]["ExecutionRole"],
        ),
        # Escalation, instance types and jobs.
        "a researcher passes every role of the deployment": lambda t: assign(
            _studio(t, "PassProcessingRole"), "Resource", "arn:aws:iam::555555555555:role/coatcheck-*"
        ),
        "a researcher passes the role to Lambda": lambda t: assign(
            _studio(t, "PassProcessingRole"), "Condition", "StringEquals", "iam:PassedToService", "lambda.amazonaws.com"
        ),
        "a researcher removes the permissions boundary": lambda t: _allow(
            t, "RolesUserada", "iam:DeleteRolePermissionsBoundary"
        ),
        "a researcher assumes other roles": lambda t: _allow(t, "RolesUserada", "sts:AssumeRole"),
        "a researcher acts in another account": lambda t: _allow(
            t, "RolesUserada", "s3:PutObject", "arn:aws:s3:::of-another-account/*"
        ),
        "a researcher has all permissions": lambda t: _allow(t, "RolesUserada", "*"),
        "a researcher has all of SageMaker": lambda t: assign(
            t.find(SSO, _ROLE, "RolesUserada"),
            "ManagedPolicyArns",
            ["arn:aws:iam::aws:policy/AmazonSageMakerFullAccess"],
        ),
        "any instance type": lambda t: _remove_statement(t.find(SSO, "AWS::IAM::ManagedPolicy"), "OnlyTheseAppTypes"),
        "any instance type of a job": lambda t: _remove_statement(
            t.find(SSO, "AWS::IAM::ManagedPolicy"), "OnlyTheseJobTypes"
        ),
        "any instance type next to an allowed one": lambda t: assign(
            _studio(t, "OnlyTheseAppTypes"),
            "Condition",
            {"ForAllValues:StringNotEquals": {"sagemaker:InstanceTypes": ["ml.t3.medium", "system"]}},
        ),
        "jobs outside the network": lambda t: _remove_statement(
            t.find(SSO, "AWS::IAM::ManagedPolicy"), "NoJobOutsideTheNetwork"
        ),
        "jobs in another network": lambda t: _remove_statement(
            t.find(SSO, "AWS::IAM::ManagedPolicy"), "NoJobInAnotherNetwork"
        ),
        # Trust policies.
        "SageMaker for another account": lambda t: assign(_trust(t, "RolesProcessing"), *_ACCOUNT, OTHER_ACCOUNT),
        "Step Functions without a source condition": lambda t: drop(_trust(t, "CleanUpProviderwaiter"), "Condition"),
        "EC2 assumes a researcher's role": lambda t: assign(
            _trust(t, "RolesUserada"), "Principal", {"Service": "ec2.amazonaws.com"}
        ),
        "the account assumes the processing role": lambda t: assign(
            _trust(t, "RolesProcessing"), "Principal", {"AWS": "555555555555"}
        ),
        "a researcher's role with session tags": lambda t: assign(
            _trust(t, "RolesUserada"), "Action", ["sts:AssumeRole", "sts:TagSession"]
        ),
        # Images.
        "images: builds push to every repository": lambda t: _allow(t, "ImagepegasusBuildstudioRole", "ecr:PutImage"),
        "images: researchers push": lambda t: _allow(t, "RolesUserada", "ecr:PutImage"),
        "images: researchers start builds": lambda t: _allow(t, "RolesUserada", "codebuild:StartBuild"),
        "images: mutable tags": lambda t: assign(t.find(SSO, "AWS::ECR::Repository"), "ImageTagMutability", "MUTABLE"),
        "images: not scanned": lambda t: drop(t.find(SSO, "AWS::ECR::Repository"), "ImageScanningConfiguration"),
        "images: another account pushes": lambda t: assign(
            t.find(SSO, "AWS::ECR::Repository"),
            "RepositoryPolicyText",
            {"Statement": [{"Effect": "Allow", "Principal": {"AWS": OTHER_ROOT}, "Action": "ecr:PutImage"}]},
        ),
        "images: any principal pulls": lambda t: assign(
            t.find(SSO, "AWS::ECR::Repository"),
            "RepositoryPolicyText",
            {"Statement": [{"Effect": "Allow", "Principal": "*", "Action": "ecr:BatchGetImage"}]},
        ),
        "images: Studio uses a tag": lambda t: assign(
            t.find(SSO, "AWS::SageMaker::ImageVersion", "ImagepegasusJupyterLab"), "BaseImage", "repository:latest"
        ),
        "images: a build has the processing role": lambda t: assign(
            t.find(SSO, "AWS::CodeBuild::Project", "ImagepegasusBuildstudio"),
            "ServiceRole",
            {"Fn::GetAtt": [next(r for r in t.resources[SSO] if r.startswith("RolesProcessing")), "Arn"]},
        ),
        "images: the build function has the clean-up role": lambda t: assign(
            t.find(SSO, "AWS::Lambda::Function", "ImageBuilderBuild"),
            "Role",
            t.find(SSO, "AWS::Lambda::Function", "CleanUpFunction")["Role"],
        ),
        # The network.
        "apps have internet access": lambda t: assign(
            t.find(SSO, "AWS::SageMaker::Domain"), "AppNetworkAccessType", "PublicInternetOnly"
        ),
        "S3 endpoint without a policy": lambda t: drop(_endpoint(t, "VpcS3"), "PolicyDocument"),
        "S3 endpoint: image layers are written": lambda t: assign(
            _endpoint(t, "VpcS3")["PolicyDocument"]["Statement"][1], "Action", ["s3:GetObject", "s3:PutObject"]
        ),
        "S3 endpoint: image layers of any bucket": lambda t: assign(
            _endpoint(t, "VpcS3")["PolicyDocument"]["Statement"][1], "Resource", "arn:aws:s3:::*/*"
        ),
        "logs endpoint without a policy": lambda t: drop(_endpoint(t, "Logs"), "PolicyDocument"),
        "SageMaker endpoint: credentials of another account": lambda t: assign(
            _endpoint(t, "SageMakerRuntime")["PolicyDocument"]["Statement"][0],
            *("Condition", "StringEquals", "aws:PrincipalAccount"),
            ["555555555555", OTHER_ACCOUNT],
        ),
        "ingress is allowed": lambda t: (
            drop(_ingress(t), "SourceSecurityGroupId"),
            assign(_ingress(t), "CidrIp", "0.0.0.0/0"),
        ),
        "apps reach other researchers' apps": lambda t: _let_in(t, "NetworkApps", "NetworkApps"),
        "jobs reach apps": lambda t: _let_in(t, "NetworkApps", "NetworkJobs"),
        "shared spaces reach one another": lambda t: _let_in(t, "NetworkSharedSpaces", "NetworkSharedSpaces"),
        "jobs in a researcher's security group": lambda t: _remove_statement(
            t.find(SSO, "AWS::IAM::ManagedPolicy"), "NoJobInAnotherGroup"
        ),
        # Data and key.
        "data: no bucket policy": lambda t: t.remove(SSO, "DataPolicy"),
        "data: readable by another account": lambda t: t.add_statement(
            SSO, "AWS::S3::BucketPolicy", {"AWS": OTHER_ROOT}, "s3:GetObject"
        ),
        "data: no public access block": lambda t: drop(
            t.find(SSO, "AWS::S3::Bucket"), "PublicAccessBlockConfiguration"
        ),
        "data: replicated": lambda t: assign(t.find(SSO, "AWS::S3::Bucket"), "ReplicationConfiguration", {"Rules": []}),
        "data: not encrypted with the key": lambda t: assign(
            t.find(SSO, "AWS::S3::Bucket"), "BucketEncryption", NOT_KMS
        ),
        "images: not encrypted with the key": lambda t: drop(
            t.find(SSO, "AWS::ECR::Repository"), "EncryptionConfiguration"
        ),
        "users sign on with IAM": lambda t: assign(t.find(SSO, "AWS::SageMaker::Domain"), "AuthMode", "IAM"),
        "users without a profile have ada's role": lambda t: assign(
            t.find(SSO, "AWS::SageMaker::Domain")["DefaultUserSettings"],
            "ExecutionRole",
            t.find(SSO, "AWS::SageMaker::UserProfile", "UsersProfileada")["UserSettings"]["ExecutionRole"],
        ),
        "volumes: another key": lambda t: assign(t.find(SSO, "AWS::SageMaker::Domain"), "KmsKeyId", "another"),
        # Clean-up.
        "clean-up: deletes in every domain": lambda t: assign(
            _role_statement(t, "CleanUpPermissions", "DeleteApps"),
            "Resource",
            "arn:aws:sagemaker:us-east-1:555555555555:app/*",
        ),
        "clean-up: deletes data": lambda t: _allow(t, "CleanUpPermissions", "s3:DeleteObject", f"{_BUCKET}/*"),
        "clean-up: any principal invokes it": lambda t: t.add(
            SSO,
            "AWS::Lambda::Permission",
            Action="lambda:InvokeFunction",
            Principal="*",
            FunctionName="coatcheck-domain-clean-up",
        ),
    },
    LAB: {
        "no permissions boundary": lambda t: drop(t.find(LAB, _ROLE, "RolesUserada"), "PermissionsBoundary"),
        "no permissions boundary for CDK's provider": lambda t: drop(
            t.find(LAB, _ROLE, "CleanUpProviderframeworkonEvent"), "PermissionsBoundary"
        ),
        "another permissions boundary": lambda t: assign(
            t.find(LAB, _ROLE, "RolesProcessing"),
            "PermissionsBoundary",
            "arn:aws:iam::aws:policy/AdministratorAccess",
        ),
        "readable buckets: written": lambda t: assign(
            _role_statement(t, "RolesUserada", "ReadReadableBuckets", LAB), "Action", ["s3:GetObject", "s3:PutObject"]
        ),
        "readable buckets: any bucket": lambda t: assign(
            _role_statement(t, "RolesUserada", "ReadReadableBuckets", LAB), "Resource", "*"
        ),
        "the workstation passes any role": lambda t: assign(
            _role_statement(t, "WorkstationRole", "PassRoles", LAB), "Resource", "*"
        ),
        "the workstation passes roles to any service": lambda t: drop(
            _role_statement(t, "WorkstationRole", "PassRoles", LAB), "Condition"
        ),
        "the workstation changes every domain": lambda t: assign(
            _role_statement(t, "WorkstationRole", "AttachImages", LAB), "Resource", "*"
        ),
        "the workstation creates any image": lambda t: assign(
            _role_statement(t, "WorkstationRole", "MakeImages", LAB), "Resource", "*"
        ),
        "the workstation reads data": lambda t: _allow(t, "WorkstationRole", "s3:GetObject", stack=LAB),
        "the workstation: SageMaker without a source condition": lambda t: drop(
            _trust(t, "WorkstationRole", LAB), "Condition"
        ),
        "the workstation is not in the network": lambda t: drop(
            t.find(LAB, "AWS::SageMaker::NotebookInstance"), "SubnetId"
        ),
        "the workstation has internet access": lambda t: assign(
            t.find(LAB, "AWS::SageMaker::NotebookInstance"), "DirectInternetAccess", "Enabled"
        ),
        "the workstation has root access": lambda t: assign(
            t.find(LAB, "AWS::SageMaker::NotebookInstance"), "RootAccess", "Enabled"
        ),
        "the workstation has the old metadata service": lambda t: drop(
            t.find(LAB, "AWS::SageMaker::NotebookInstance"), "InstanceMetadataServiceConfiguration"
        ),
        "the workstation has a researcher's role": lambda t: assign(
            t.find(LAB, "AWS::SageMaker::NotebookInstance"),
            "RoleArn",
            t.find(LAB, "AWS::SageMaker::Domain")["DefaultUserSettings"]["ExecutionRole"],
        ),
        "the schedule: EventBridge Scheduler without a source condition": lambda t: drop(
            _trust(t, "WorkstationStopRole", LAB), "Condition"
        ),
        "the schedule stops any instance": lambda t: assign(
            _role_statement(t, "WorkstationStopRole", "Stop", LAB), "Resource", "*"
        ),
        "the schedule starts the instance": lambda t: assign(
            t.find(LAB, "AWS::Scheduler::Schedule")["Target"],
            "Arn",
            "arn:aws:scheduler:::aws-sdk:sagemaker:startNotebookInstance",
        ),
    },
}
MUTANTS = {stack: [Mutant(name, breaks) for name, breaks in some.items()] for stack, some in _CHANGES.items()}

# Constructs that are equal to others in their policies: grace's role is like ada's.
_EQUAL = (
    *("RolesUsergrace", "RolesSharedSpaces", "ImagepegasusBuildcode", "ImagepegasusBuildprocessing"),
    *("CleanUpProvider", "ImageBuilderProviderframeworkisComplete", "ImageBuilderProviderframeworkonTimeout"),
)


def distinct_mutants(stacks: tuple[StackTemplate, ...]) -> Iterator[Mutant]:
    """Yield the generated mutants of one construct of each kind."""
    return (mutant for mutant in generated_mutants(stacks) if not mutant.name.split("/")[1].startswith(_EQUAL))
