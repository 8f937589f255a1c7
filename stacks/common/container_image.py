"""A container image that CodeBuild builds: the machine that runs `cdk deploy` needs no Docker.

context folder -> S3 asset -> CodeBuild -> ECR. A custom resource starts the build, waits and returns the digest.
"""

import hashlib
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

from aws_cdk import Annotations, CustomResource, Duration, IgnoreMode, RemovalPolicy, Stack, Stage
from aws_cdk import aws_codebuild as codebuild
from aws_cdk import aws_ecr as ecr
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_logs as logs
from aws_cdk.aws_s3_assets import Asset
from constructs import Construct

from image_build.settings import RESOURCE_TYPE, Settings
from stacks.common.custom_resource import AsyncProvider
from stacks.common.defaults import Defaults
from stacks.common.findings import acknowledge
from stacks.common.function import Function
from stacks.common.grants import allow, grant_pull_push
from stacks.common.service_role import ServiceRole
from stacks.deployment.dockerfile import image_tag, stage_inputs
from stacks.deployment.names import via_s3

BUILD_LIMIT = Duration.minutes(40)
QUEUE_LIMIT = Duration.minutes(9)
"""Together shorter than the provider's limit, so that no build outlives a failed deployment.

CodeBuild's default for the queue is 8 hours.
"""


class ImageRepository(ecr.Repository):
    """An ECR repository with immutable tags, scanned on push.

    It is emptied when it is deleted, under either removal policy. Otherwise a first deployment that fails after the
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
    """The function that starts builds and waits for them. One builder serves all images of a stack."""

    def __init__(self, scope: Construct, id: str, *, function_name: str) -> None:
        super().__init__(scope, id)
        self.function = Function(
            self,
            "Build",
            function_name=function_name,
            package="image_build",
            timeout=Duration.minutes(2),
            environment={},
        )
        self.provider = AsyncProvider(self, "Provider", function=self.function, query_interval=Duration.seconds(20))
        self._last: CustomResource | None = None

    def enqueue(self, build: CustomResource) -> None:
        """Start the build after the one before: a new account may run one build at a time."""
        if self._last:
            build.node.add_dependency(self._last)
        self._last = build

    def grant_build(
        self, *, project: codebuild.Project, repository: ecr.IRepository, log_group: logs.ILogGroup
    ) -> None:
        """Allow the function to start builds, describe images and read build logs."""
        role = self.function.execution_role
        builds = ("StartBuild", "StopBuild", "BatchGetBuilds", "ListBuildsForProject")
        allow(role, actions=[f"codebuild:{action}" for action in builds], resources=[project.project_arn])
        allow(role, actions=["ecr:DescribeImages"], resources=[repository.repository_arn])
        allow(role, actions=["logs:GetLogEvents"], resources=[log_group.log_group_arn])


class ContainerImage(Construct):
    """An image of a Dockerfile or of one stage. `uri` names the image by digest, `tag` by content.

    The tag depends on the stage's instructions, the files that it copies, the build arguments that it uses, and the
    commands. If the repository has an image with the tag, for example after a rollback, nothing is built.

    Args:
        scope: The parent.
        id: The construct's id.
        builder: The function that starts the build. It builds one image after another.
        repository: The repository of the image.
        context: The folder of the build context.
        target: The stage. By default, the last one.
        dockerfile: Path of the Dockerfile in the context.
        build_args: Values of build arguments. Those that the stage does not use are left out.
        refusals: Reasons not to build a stage that uses a build argument, such as a base without a digest. The build
            fails with this text.
        build_image: The image in which CodeBuild runs the commands.
        key: The key that encrypts the build's output.
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
        refusals: Mapping[str, str] | None = None,
        build_image: codebuild.IBuildImage = codebuild.LinuxBuildImage.AMAZON_LINUX_2023_5,
        key: kms.IKey | None = None,
    ) -> None:
        super().__init__(scope, id)
        inputs = stage_inputs((context / dockerfile).read_text(), target, given=build_args or ())
        excluded = _ignored(context / f"{dockerfile}.dockerignore")
        source = Asset(self, "Context", path=str(context), exclude=excluded, ignore_mode=IgnoreMode.DOCKER)
        arguments = {name: value for name, value in (build_args or {}).items() if name in inputs.arguments}
        refusal = " ".join(text for name, text in (refusals or {}).items() if name in inputs.arguments)
        if refusal:
            Annotations.of(self).add_warning_v2("coatcheck:refused-build", refusal)
        commands = _commands(target=target, dockerfile=dockerfile, build_args=arguments, refusal=refusal)
        staged = Path(Stage.of(self).asset_outdir, source.asset_path)  # type: ignore[union-attr]
        self.tag = image_tag(
            inputs,
            target=target,
            files={path.relative_to(staged).as_posix(): _state(path) for path in staged.rglob("*") if path.is_file()},
            whole=source.asset_hash,
            commands=commands,
            build_image=build_image.image_id,
        )

        log_group = logs.LogGroup(self, "Logs", removal_policy=RemovalPolicy.DESTROY)
        role = ServiceRole(self, "Role", service="codebuild", account=Stack.of(self).account)
        project = codebuild.Project(
            self,
            "Project",
            # CDK's own policy would allow all log groups with the project's name, and all uses of the key.
            role=role.without_policy_updates(),
            description=f"Builds {target or 'the image'} into {repository.repository_name}",
            # The project has no source. Each build names one, so that a rollback builds the earlier source.
            build_spec=codebuild.BuildSpec.from_object(
                {"version": "0.2", "phases": {"build": {"on-failure": "ABORT", "commands": commands}}}
            ),
            environment=codebuild.BuildEnvironment(
                build_image=build_image,
                compute_type=codebuild.ComputeType.MEDIUM,
                privileged=True,  # for Docker
            ),
            environment_variables={
                "REPOSITORY": codebuild.BuildEnvironmentVariable(value=repository.repository_uri),
                "BUILDX_NO_DEFAULT_ATTESTATIONS": codebuild.BuildEnvironmentVariable(value="1"),
                "REPOSITORY_NAME": codebuild.BuildEnvironmentVariable(value=repository.repository_name),
            },
            encryption_key=key,
            timeout=BUILD_LIMIT,
            queued_timeout=QUEUE_LIMIT,
            logging=codebuild.LoggingOptions(cloud_watch=codebuild.CloudWatchLoggingOptions(log_group=log_group)),
            grant_report_group_permissions=False,
        )
        acknowledge(
            project,
            {"AwsSolutions-CB3": "Building an image needs Docker, which CodeBuild has in privileged mode only."},
        )
        _grant_build(role, source=source, repository=repository, log_group=log_group, key=key)
        builder.grant_build(project=project, repository=repository, log_group=log_group)
        build = builder.provider.add_resource(
            self,
            "Image",
            resource_type=RESOURCE_TYPE,
            properties=Settings(
                project=project.project_name,
                repository=repository.repository_name,
                tag=self.tag,
                source=f"{source.s3_bucket_name}/{source.s3_object_key}",
            ).to_properties(),
        )
        build.node.add_dependency(role)  # and on its policy: the build starts at once
        builder.enqueue(build)
        self.uri = f"{repository.repository_uri}@{build.get_att_string('Digest')}"


def _ignored(file: Path) -> list[str]:
    """Return the patterns that Docker leaves out of the context. The tag does not depend on these files.

    Credentials that are often next to code are left out too, unless the file includes them: `!ca.pem`.
    """
    lines = file.read_text().splitlines() if file.exists() else []
    generated = ["**/__pycache__", "**/.ipynb_checkpoints", "**/.DS_Store"]
    credentials = [".git", ".env", ".env.*", ".aws", ".netrc", "*.pem", "*.key", "id_rsa*", "id_ed25519*"]
    return [*generated, *(f"**/{name}" for name in credentials), *(line for line in lines if line[:1] not in "#")]


def _grant_build(
    role: iam.Role, *, source: Asset, repository: ecr.IRepository, log_group: logs.ILogGroup, key: kms.IKey | None
) -> None:
    context = source.bucket.arn_for_objects(source.s3_object_key)
    allow(role, actions=["s3:GetObject", "s3:GetObjectVersion"], resources=[context])
    allow(role, actions=["s3:GetBucketLocation"], resources=[source.bucket.bucket_arn])
    stack = Stack.of(role)
    # For accounts that were bootstrapped with `--bootstrap-customer-key`. Without it, S3's own key encrypts assets.
    allow(
        role,
        actions=["kms:Decrypt"],
        resources=[stack.format_arn(service="kms", resource="key", resource_name="*")],
        conditions={
            "StringEquals": {"kms:ViaService": via_s3(stack.region)},
            "StringLike": {"kms:EncryptionContext:aws:s3:arn": source.bucket.arn_for_objects("*")},
        },
        wildcards="The bootstrap stack's key: conditions narrow it to the assets through S3.",
    )
    allow(role, actions=["logs:CreateLogStream", "logs:PutLogEvents"], resources=[log_group.log_group_arn])
    if key:
        uses = ("Decrypt", "DescribeKey", "Encrypt", "GenerateDataKey")
        allow(role, actions=[f"kms:{action}" for action in uses], resources=[key.key_arn])
    allow(role, actions=["ecr:DescribeImages"], resources=[repository.repository_arn])
    grant_pull_push(repository, role)


def _state(file: Path) -> str:
    """Return mode and digest of a file."""
    return f"{file.stat().st_mode:o} {hashlib.sha256(file.read_bytes()).hexdigest()}"


def _commands(*, target: str | None, dockerfile: str, build_args: Mapping[str, str], refusal: str) -> list[str]:
    # SageMaker and Lambda expect one image under a tag. An attestation would add a second one for no platform.
    build = ["docker", "build", "--provenance=false", "--sbom=false"]
    build += [*(["--target", target] if target else []), "--file", dockerfile]
    for name, value in sorted(build_args.items()):
        build += ["--build-arg", f"{name}={value}"]
    steps = [
        'aws ecr get-login-password | docker login --username AWS --password-stdin "${REPOSITORY%%/*}"',
        # Public registries limit the requests of an address, which CodeBuild's customers share.
        f'build() {{ {shlex.join(build)} --tag "$REPOSITORY:$TAG" .; }}',
        "{ build || { sleep 30 && build; } || { sleep 90 && build; }; }",
        'docker push "$REPOSITORY:$TAG"',
    ]
    if refusal:
        steps = [f"echo {shlex.quote(refusal)}", "false"]
    # An immutable tag can be pushed once. Another build may have pushed the same content in the meantime.
    find = 'aws ecr describe-images --repository-name "$REPOSITORY_NAME" --image-ids imageTag="$TAG"'
    return [f"{find} || {{ {' && '.join(steps)}; }}"]
