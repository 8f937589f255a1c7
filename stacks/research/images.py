"""Images of the deployment file: repository, builds of the Dockerfile's stages, and SageMaker's images and versions."""

from collections.abc import Mapping

from aws_cdk import CfnDeletionPolicy, Token
from aws_cdk import aws_ecr as ecr
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_sagemaker as sagemaker
from constructs import Construct

from stacks.common.container_image import ContainerImage, ImageBuilder, ImageRepository
from stacks.common.defaults import Defaults
from stacks.deployment import ResearchNames
from stacks.deployment.base_images import base_images, unpinned
from stacks.deployment.research import PROCESSING_TARGET, TARGETS, App, ImageConfig

ENTRYPOINTS: Mapping[App, str] = {"JupyterLab": "start-jupyterlab", "CodeEditor": "entrypoint-code-editor"}
"""The command of each app. SageMaker ignores a configuration without a command or another setting."""
KERNEL_NAME, KERNEL_HOME = "python3", "/root"
"""The kernel of a Studio Classic image, and the mount path of the researcher's home directory."""

_Config = sagemaker.CfnAppImageConfig


class StudioImage(Construct):
    """An image with its repository and builds. `attach` adds an `AttachedImage` to `apps` for each app."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        names: ResearchNames,
        settings: ImageConfig,
        builds_kept: int,
        builder: ImageBuilder,
        key: kms.IKey,
        defaults: Defaults,
    ) -> None:
        super().__init__(scope, id)
        self._names, self._settings = names, settings
        targets = sorted(set(settings.targets))
        bases = base_images()
        arguments = {name: base.reference for name, base in bases.items()}
        self.repository = ImageRepository(
            self,
            "Repository",
            repository_name=names.image_repository(settings).name,
            key=key,
            lifecycle_rules=[
                ecr.LifecycleRule(
                    rule_priority=priority,
                    description=f"The last {builds_kept} builds of {target}",
                    tag_prefix_list=[f"{target}-"],
                    max_image_count=builds_kept,
                )
                for priority, target in enumerate(targets, start=1)
            ],
            defaults=defaults,
        )
        self._uris = {
            target: ContainerImage(
                self,
                f"Build-{target}",
                builder=builder,
                repository=self.repository,
                context=settings.folder,
                dockerfile=settings.dockerfile,
                target=target,
                build_args={**arguments, **({"BASE": settings.base} if settings.base else {})},
                refusals=unpinned(bases),
                key=key,
            ).uri
            for target in targets
        }
        self.apps: dict[App, AttachedImage] = {}

    @property
    def name(self) -> str:
        """The name of the deployment file, with underscores, as the job environment has it."""
        return self._settings.name.replace("-", "_")

    @property
    def processing_uri(self) -> str | None:
        """The address of the image for processing jobs, by digest, or None."""
        return self._uris.get(PROCESSING_TARGET)

    def attach(self, *, role: iam.IRole, environment: Mapping[str, str]) -> None:
        """Register the image with SageMaker for each of its apps, which get `environment` as variables."""
        for app in self._settings.apps:
            self.apps[app] = AttachedImage(
                self,
                app,
                names=self._names,
                settings=self._settings,
                app=app,
                uri=self._uris[TARGETS[app]],
                role=role,
                environment=environment,
            )


class AttachedImage(Construct):
    """SageMaker's image, version and configuration of a build. `custom_image` attaches them to the domain."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        names: ResearchNames,
        settings: ImageConfig,
        app: App,
        uri: str,
        role: iam.IRole,
        environment: Mapping[str, str],
    ) -> None:
        super().__init__(scope, id)
        name = names.sagemaker_image(settings, app).name
        self.image = sagemaker.CfnImage(
            self,
            "Image",
            image_name=name,
            image_display_name=settings.display_name,
            image_role_arn=role.role_arn,
        )
        self.image.node.add_dependency(role)  # and on its policy: SageMaker reads the repository for a new version
        # The URI has a digest, so that a new build gives a new version. SageMaker does not detect a moved tag.
        self.version = sagemaker.CfnImageVersion(self, "Version", image_name=name, base_image=uri)
        self.version.add_resource_dependency(self.image)
        # Spaces may still run an older version. SageMaker deletes all versions with the image.
        self.version.cfn_options.update_replace_policy = CfnDeletionPolicy.RETAIN
        self.version.cfn_options.deletion_policy = CfnDeletionPolicy.DELETE
        container = _container(ENTRYPOINTS[app], environment) if app in ENTRYPOINTS else None
        self.config = _Config(
            self,
            "Config",
            app_image_config_name=names.app_image_config(settings, app).name,
            jupyter_lab_app_image_config=_Config.JupyterLabAppImageConfigProperty(container_config=container)
            if app == "JupyterLab"
            else None,
            code_editor_app_image_config=_Config.CodeEditorAppImageConfigProperty(container_config=container)
            if app == "CodeEditor"
            else None,
            kernel_gateway_image_config=_kernel(settings.display_name) if app == "KernelGateway" else None,
        )
        self.custom_image = sagemaker.CfnDomain.CustomImageProperty(
            image_name=name,
            image_version_number=Token.as_number(self.version.get_att("Version")),
            app_image_config_name=self.config.app_image_config_name,
        )

    def resource_spec(self, instance_type: str) -> sagemaker.CfnDomain.ResourceSpecProperty:
        """Return the default of an app: this image on an instance type."""
        return sagemaker.CfnDomain.ResourceSpecProperty(
            instance_type=instance_type,
            sage_maker_image_arn=self.image.attr_image_arn,
            sage_maker_image_version_arn=self.version.attr_image_version_arn,
        )


def _container(entrypoint: str, environment: Mapping[str, str]) -> sagemaker.CfnAppImageConfig.ContainerConfigProperty:
    return _Config.ContainerConfigProperty(
        container_entrypoint=[entrypoint],
        container_environment_variables=[
            _Config.CustomImageContainerEnvironmentVariableProperty(key=key, value=value)
            for key, value in sorted(environment.items())
        ],
    )


def _kernel(display_name: str) -> sagemaker.CfnAppImageConfig.KernelGatewayImageConfigProperty:
    return _Config.KernelGatewayImageConfigProperty(
        kernel_specs=[_Config.KernelSpecProperty(name=KERNEL_NAME, display_name=display_name)],
        file_system_config=_Config.FileSystemConfigProperty(mount_path=KERNEL_HOME, default_uid=0, default_gid=0),
    )
