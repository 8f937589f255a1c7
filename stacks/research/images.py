"""An image of the deployment file: its registry, the stages built from its Dockerfile, and how Studio's apps run it."""

from collections.abc import Mapping

from aws_cdk import CfnDeletionPolicy, Token
from aws_cdk import aws_ecr as ecr
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_sagemaker as sagemaker
from constructs import Construct

from stacks.common.container_image import ContainerImage, ImageBuilder, ImageRepository
from stacks.common.defaults import Defaults
from stacks.deployment import BaseDeployment, names
from stacks.deployment.research import PROCESSING_TARGET, TARGETS, App, ImageConfig

ENTRYPOINTS: Mapping[App, str] = {"JupyterLab": "start-jupyterlab", "CodeEditor": "entrypoint-code-editor"}
"""What an app runs in the container; without one (and no other setting) SageMaker ignores the configuration."""


class Registry(ImageRepository):
    """Every build under a tag that is never moved, scanned; the last of each stage kept."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        deployment: BaseDeployment,
        image: ImageConfig,
        kept: int,
        key: kms.IKey,
    ) -> None:
        super().__init__(
            scope,
            id,
            repository_name=names.image_repository(deployment, image),
            key=key,
            lifecycle_rules=[
                ecr.LifecycleRule(
                    rule_priority=priority,
                    description=f"The last {kept} builds of {target}",
                    tag_prefix_list=[f"{target}-"],
                    max_image_count=kept,
                )
                for priority, target in enumerate(sorted(set(image.targets)), start=1)
            ],
            defaults=Defaults.of(deployment),
        )


class StudioImage(Construct):
    """`apps`: what to attach to the domain, by app. `processing_uri`: what jobs run, when the image is for jobs too."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        deployment: BaseDeployment,
        image: ImageConfig,
        registry: ecr.IRepository,
        builder: ImageBuilder,
        key: kms.IKey,
    ) -> None:
        super().__init__(scope, id)
        self._deployment, self._image = deployment, image
        self.builds = {
            target: ContainerImage(
                self,
                f"Build-{target}",
                builder=builder,
                repository=registry,
                context=image.folder,
                dockerfile=image.dockerfile,
                target=target,
                build_args={"BASE": image.base} if image.base else {},
                key=key,
            )
            for target in sorted(set(image.targets))
        }
        self.apps: dict[App, AttachedImage] = {}

    @property
    def processing_uri(self) -> str | None:
        """The image by digest, for processing jobs."""
        build = self.builds.get(PROCESSING_TARGET)
        return build.uri if build else None

    def attach(self, *, role: iam.IRole, environment: Mapping[str, str]) -> None:
        """Make the image known to Studio, for each of its apps; `environment` is told to what runs in it."""
        for app in self._image.apps:
            self.apps[app] = AttachedImage(
                self,
                app,
                deployment=self._deployment,
                image=self._image,
                app=app,
                uri=self.builds[TARGETS[app]].uri,
                role=role,
                environment=environment,
            )


class AttachedImage(Construct):
    """SageMaker's view of a build: image, version, configuration. `custom_image` attaches it."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        deployment: BaseDeployment,
        image: ImageConfig,
        app: App,
        uri: str,
        role: iam.IRole,
        environment: Mapping[str, str],
    ) -> None:
        super().__init__(scope, id)
        name = names.sagemaker_image(deployment, image, app)
        self.image = sagemaker.CfnImage(
            self,
            "Image",
            image_name=name,
            image_display_name=image.display_name,
            image_role_arn=role.role_arn,
        )
        self.image.node.add_dependency(role)  # with its policy: SageMaker looks at the registry when a version is made
        # By digest, so that another build is another version; a tag that moved would change nothing.
        self.version = sagemaker.CfnImageVersion(self, "Version", image_name=name, base_image=uri)
        self.version.add_resource_dependency(self.image)
        # Spaces may still run an older version; all go with the image.
        self.version.cfn_options.update_replace_policy = CfnDeletionPolicy.RETAIN
        self.version.cfn_options.deletion_policy = CfnDeletionPolicy.DELETE
        self.config = sagemaker.CfnAppImageConfig(
            self,
            "Config",
            app_image_config_name=names.app_image_config(deployment, image, app),
            **_config(app, image, environment),  # type: ignore[arg-type]
        )
        self.custom_image = sagemaker.CfnDomain.CustomImageProperty(
            image_name=name,
            image_version_number=Token.as_number(self.version.get_att("Version")),
            app_image_config_name=self.config.app_image_config_name,
        )

    def resource_spec(self, instance_type: str) -> sagemaker.CfnDomain.ResourceSpecProperty:
        """This image on that instance type, for an app's default."""
        return sagemaker.CfnDomain.ResourceSpecProperty(
            instance_type=instance_type,
            sage_maker_image_arn=self.image.attr_image_arn,
            sage_maker_image_version_arn=self.version.attr_image_version_arn,
        )


def _config(app: App, image: ImageConfig, environment: Mapping[str, str]) -> dict[str, object]:
    config = sagemaker.CfnAppImageConfig
    if app == "KernelGateway":
        return {
            "kernel_gateway_image_config": config.KernelGatewayImageConfigProperty(
                kernel_specs=[config.KernelSpecProperty(name=image.kernel, display_name=image.display_name)],
                file_system_config=config.FileSystemConfigProperty(
                    mount_path=image.mount_path, default_uid=image.uid, default_gid=image.gid
                ),
            )
        }
    container = config.ContainerConfigProperty(
        container_entrypoint=[ENTRYPOINTS[app]],
        container_environment_variables=[
            config.CustomImageContainerEnvironmentVariableProperty(key=key, value=value)
            for key, value in sorted(environment.items())
        ],
    )
    if app == "CodeEditor":
        return {"code_editor_app_image_config": config.CodeEditorAppImageConfigProperty(container_config=container)}
    return {"jupyter_lab_app_image_config": config.JupyterLabAppImageConfigProperty(container_config=container)}
