"""The image of a subscriber's ECS task: built in the subscriber's account, or one that is there."""

import re

from aws_cdk import aws_codebuild as codebuild
from aws_cdk import aws_ecr as ecr
from aws_cdk import aws_iam as iam
from constructs import Construct

from stacks.common.container_image import ContainerImage, ImageBuilder, ImageRepository
from stacks.common.defaults import Defaults
from stacks.common.findings import acknowledge, acknowledge_wildcards
from stacks.deployment import Deployment, LambdaSubscriberConfig, names
from stacks.deployment.regions import partition
from stacks.subscriber.build_context import with_library

KEPT_BUILDS = 10
PULL = ("ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer")
_IN_ECR = re.compile(r"(\d{12})\.dkr\.ecr\.([a-z0-9-]+)\.amazonaws\.com(?:\.cn)?/(.+)@.*")


class TaskImage(Construct):
    """`uri` names it by digest, whichever it is."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        deployment: Deployment,
        subscriber: LambdaSubscriberConfig,
    ) -> None:
        super().__init__(scope, id)
        if image := subscriber.task.image:
            self.uri, self._repository_arn = image, ecr_repository_arn(image)
        else:
            self.uri, self._repository_arn = self._build(deployment, subscriber)

    def _build(self, deployment: Deployment, subscriber: LambdaSubscriberConfig) -> tuple[str, str]:
        """In a repository of the subscriber's own; the image's URI, and the repository's ARN."""
        repository = ImageRepository(
            self,
            "Repository",
            repository_name=names.task_repository(deployment, subscriber),
            lifecycle_rules=[
                ecr.LifecycleRule(description=f"The last {KEPT_BUILDS} builds", max_image_count=KEPT_BUILDS)
            ],
            defaults=Defaults.of(deployment),
        )
        builder = ImageBuilder(self, "Builder", function_name=names.task_build_function(deployment, subscriber))
        assert subscriber.task.folder
        with with_library(subscriber.task.folder) as context:
            image = ContainerImage(
                self,
                "Build",
                builder=builder,
                repository=repository,
                context=context,
                build_image=codebuild.LinuxArmBuildImage.AMAZON_LINUX_2023_STANDARD_3_0,
            )
        acknowledge(image, {"AwsSolutions-CB4": "A build leaves an image in ECR, and nothing that CodeBuild encrypts."})
        return image.uri, repository.repository_arn

    def grant_pull(self, role: iam.IRole) -> None:
        """Of this repository alone. Another account's lets the role in itself; one outside ECR asks nobody."""
        if not self._repository_arn:
            return
        role.add_to_principal_policy(iam.PolicyStatement(actions=[*PULL], resources=[self._repository_arn]))
        role.add_to_principal_policy(iam.PolicyStatement(actions=["ecr:GetAuthorizationToken"], resources=["*"]))
        acknowledge_wildcards(role, {"ecr:GetAuthorizationToken is for the whole registry.": ["*"]})


def ecr_repository_arn(image: str) -> str | None:
    """The repository, where the image is in ECR."""
    found = _IN_ECR.fullmatch(image)
    if not found:
        return None
    account, region, name = found.groups()
    return f"arn:{partition(region)}:ecr:{region}:{account}:repository/{name.partition(':')[0]}"
