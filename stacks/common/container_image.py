"""A container image built where it is deployed: no Docker on the machine that runs `cdk deploy`.

context folder -> S3 asset -> CodeBuild -> ECR; a custom resource starts the build, waits, and answers the digest.
"""

import hashlib
import json
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

from aws_cdk import CustomResource, Duration, IgnoreMode, RemovalPolicy, Stack
from aws_cdk import aws_codebuild as codebuild
from aws_cdk import aws_ecr as ecr
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_logs as logs
from aws_cdk.aws_s3_assets import Asset
from constructs import Construct

from stacks.common.custom_resource import AsyncProvider
from stacks.common.defaults import Defaults
from stacks.common.findings import acknowledge, acknowledge_wildcards
from stacks.common.function import Function

BUILD_LIMIT = Duration.minutes(50)
"""CodeBuild gives up before CloudFormation does (an hour), so that the error can quote the build's log."""


class ImageRepository(ecr.Repository):
    """An ECR repository with immutable tags, scanned on push.

    It is emptied when it is deleted, whatever its removal policy. Otherwise a first deployment that fails after the
    image build could not be retried.
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        repository_name: str,
        lifecycle_rules: Sequence[ecr.LifecycleRule],
        defaults: Defaults,
        key: kms.IKey | None = None,
    ) -> None:
        super().__init__(
            scope,
            id,
            repository_name=repository_name,
            encryption=ecr.RepositoryEncryption.KMS if key else None,
            encryption_key=key,
            image_scan_on_push=True,
            image_tag_mutability=ecr.TagMutability.IMMUTABLE,
            lifecycle_rules=lifecycle_rules,
            removal_policy=defaults.removal_policy,
        )
        cfn = self.node.default_child
        assert isinstance(cfn, ecr.CfnRepository)
        cfn.empty_on_delete = True  # CDK's own property is for repositories with the removal policy DESTROY alone


class ImageBuilder(Construct):
    """Starts builds and waits for them; one serves all images of a stack."""

    def __init__(self, scope: Construct, id: str, *, function_name: str) -> None:
        super().__init__(scope, id)
        self.function = Function(
            self,
            "Build",
            function_name=function_name,
            package="image_build",
            shared=(),
            timeout=Duration.minutes(2),
            environment={},
        )
        self.provider = AsyncProvider(self, "Provider", function=self.function, query_interval=Duration.seconds(20))

    def allow(self, *, project: codebuild.Project, repository: ecr.IRepository, log_group: logs.ILogGroup) -> None:
        """Let the function build with the project, look for the result, and read what the build said."""
        for actions, resource in (
            (
                [
                    "codebuild:StartBuild",
                    "codebuild:StopBuild",
                    "codebuild:BatchGetBuilds",
                    "codebuild:ListBuildsForProject",
                ],
                project.project_arn,
            ),
            (["ecr:DescribeImages"], repository.repository_arn),
            (["logs:GetLogEvents"], log_group.log_group_arn),
        ):
            self.function.execution_role.add_to_principal_policy(
                iam.PolicyStatement(actions=actions, resources=[resource])
            )


class ContainerImage(Construct):
    """A Dockerfile, or one stage of it, in a repository. `uri` names it by digest, `tag` by content.

    What is built depends on the context's content, the stage, the build arguments and the commands; while these stay
    the same, or become again what they were (a rollback), nothing is built as long as the repository has that tag.
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        builder: ImageBuilder,
        repository: ecr.IRepository,
        context: Path,
        target: str | None = None,
        dockerfile: str = "Dockerfile",
        build_args: Mapping[str, str] | None = None,
        build_image: codebuild.IBuildImage = codebuild.LinuxBuildImage.AMAZON_LINUX_2023_5,
        key: kms.IKey | None = None,
    ) -> None:
        super().__init__(scope, id)
        excluded = _ignored(context / f"{dockerfile}.dockerignore")
        source = Asset(self, "Context", path=str(context), exclude=list(excluded), ignore_mode=IgnoreMode.DOCKER)
        commands = _commands(target=target, dockerfile=dockerfile, build_args=build_args or {})
        recipe = json.dumps([source.asset_hash, commands, build_image.image_id])
        self.tag = f"{target or 'image'}-{hashlib.sha256(recipe.encode()).hexdigest()[:32]}"

        log_group = logs.LogGroup(self, "Logs", removal_policy=RemovalPolicy.DESTROY)
        role = iam.Role(
            self,
            "Role",
            assumed_by=iam.ServicePrincipal(
                "codebuild.amazonaws.com", conditions={"StringEquals": {"aws:SourceAccount": Stack.of(self).account}}
            ),
        )
        project = codebuild.Project(
            self,
            "Project",
            # CDK would let it write to any log group of the project's name, and have every use of the key.
            role=role.without_policy_updates(),
            description=f"Builds {target or 'the image'} into {repository.repository_name}",
            # No source of its own: each build is told which, and so a rollback builds what it says.
            build_spec=codebuild.BuildSpec.from_object(
                {"version": "0.2", "phases": {"build": {"on-failure": "ABORT", "commands": commands}}}
            ),
            environment=codebuild.BuildEnvironment(
                build_image=build_image,
                compute_type=codebuild.ComputeType.MEDIUM,
                privileged=True,  # CodeBuild's word for "with Docker"
            ),
            environment_variables={
                "REPOSITORY": codebuild.BuildEnvironmentVariable(value=repository.repository_uri),
                "REPOSITORY_NAME": codebuild.BuildEnvironmentVariable(value=repository.repository_name),
            },
            encryption_key=key,
            timeout=BUILD_LIMIT,
            logging=codebuild.LoggingOptions(cloud_watch=codebuild.CloudWatchLoggingOptions(log_group=log_group)),
            grant_report_group_permissions=False,
        )
        acknowledge(
            project,
            {"AwsSolutions-CB3": "Building an image takes Docker, and CodeBuild has it in privileged mode only."},
        )
        _let_build(role, source=source, repository=repository, log_group=log_group, key=key)
        builder.allow(project=project, repository=repository, log_group=log_group)
        build = CustomResource(
            self,
            "Image",
            service_token=builder.provider.service_token,
            resource_type="Custom::ContainerImage",
            properties={
                "Project": project.project_name,
                "Repository": repository.repository_name,
                "Tag": self.tag,
                "Source": f"{source.s3_bucket_name}/{source.s3_object_key}",
            },
        )
        build.node.add_dependency(role)  # with its policy: the build needs it at once
        self.uri = f"{repository.repository_uri}@{build.get_att_string('Digest')}"


def _ignored(file: Path) -> Sequence[str]:
    """What Docker leaves out of the context, which the tag is not to depend on either."""
    given = file.read_text().splitlines() if file.exists() else []
    return ["**/__pycache__", "**/.ipynb_checkpoints", "**/.DS_Store", *(line for line in given if line[:1] not in "#")]


def _let_build(
    role: iam.Role, *, source: Asset, repository: ecr.IRepository, log_group: logs.ILogGroup, key: kms.IKey | None
) -> None:
    # Every asset, and not only this one: a policy that changed a moment ago is not yet known where the build begins.
    contexts = source.bucket.arn_for_objects("*")
    for actions, resources in (
        (["s3:GetObject", "s3:GetObjectVersion"], [contexts]),
        (["s3:GetBucketLocation"], [source.bucket.bucket_arn]),
        (["logs:CreateLogStream", "logs:PutLogEvents"], [log_group.log_group_arn]),
        *([(["kms:Decrypt", "kms:DescribeKey", "kms:Encrypt", "kms:GenerateDataKey"], [key.key_arn])] if key else []),
        (["ecr:DescribeImages"], [repository.repository_arn]),
    ):
        role.add_to_policy(iam.PolicyStatement(actions=actions, resources=resources))
    repository.grant_pull_push(role)
    acknowledge_wildcards(
        role,
        {
            "Build contexts are assets, whose names change with their content.": [contexts],
            "ecr:GetAuthorizationToken is for the whole registry.": ["*"],
        },
    )


def _commands(*, target: str | None, dockerfile: str, build_args: Mapping[str, str]) -> list[str]:
    build = ["docker", "build", *(["--target", target] if target else []), "--file", dockerfile]
    for name, value in sorted(build_args.items()):
        build += ["--build-arg", f"{name}={value}"]
    steps = [
        'aws ecr get-login-password | docker login --username AWS --password-stdin "${REPOSITORY%%/*}"',
        f'{shlex.join(build)} --tag "$REPOSITORY:$TAG" .',
        'docker push "$REPOSITORY:$TAG"',
    ]
    # A tag is never pushed twice; another deployment may have built the same content meanwhile.
    find = 'aws ecr describe-images --repository-name "$REPOSITORY_NAME" --image-ids imageTag="$TAG"'
    return [f"{find} || {{ {' && '.join(steps)}; }}"]
