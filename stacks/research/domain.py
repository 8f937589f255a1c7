"""The Studio domain: sign-on, network, and the default settings of all researchers."""

from collections.abc import Sequence
from typing import Any

from aws_cdk import aws_kms as kms
from aws_cdk import aws_sagemaker as sagemaker
from constructs import Construct

from stacks.deployment import ResearchNames
from stacks.deployment.research import App, ResearchConfig
from stacks.deployment.research_checks import hidden_instance_types
from stacks.research.images import AttachedImage, StudioImage
from stacks.research.network import ResearchNetwork
from stacks.research.roles import Roles

_Domain = sagemaker.CfnDomain
HIDDEN_TOOLS = (
    *("DataWrangler", "FeatureStore", "EmrClusters", "AutoMl", "Experiments", "Training", "ModelEvaluation", "Models"),
    *("JumpStart", "InferenceRecommender", "Endpoints", "Projects", "InferenceOptimization", "HyperPodClusters"),
    *("Comet", "DeepchecksLLMEvaluation", "Fiddler", "LakeraGuard", "PerformanceEvaluation"),
)
"""Tools that Studio does not show, because researchers have no permission for them: all except pipelines."""


class StudioDomain(sagemaker.CfnDomain):
    """The domain, with the images attached to the default settings of users and of shared spaces."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        names: ResearchNames,
        settings: ResearchConfig,
        key: kms.IKey,
        network: ResearchNetwork,
        roles: Roles,
        images: Sequence[StudioImage],
    ) -> None:
        apps = _Apps(settings, images)
        storage = _Domain.DefaultSpaceStorageSettingsProperty(
            default_ebs_storage_settings=_Domain.DefaultEbsStorageSettingsProperty(
                default_ebs_volume_size_in_gb=settings.volume_gb,
                maximum_ebs_volume_size_in_gb=settings.maximum_volume_gb,
            )
        )
        super().__init__(
            scope,
            id,
            domain_name=names.domain,
            auth_mode=settings.auth.upper(),
            app_network_access_type="VpcOnly" if settings.network == "vpc-only" else "PublicInternetOnly",
            vpc_id=network.vpc_id,
            subnet_ids=network.subnet_ids,
            kms_key_id=key.key_id,
            home_efs_file_system_creation="Enabled" if settings.home_efs else "Disabled",
            # Propagate tags, so that the bill shows researchers' resources under the deployment's tag.
            tag_propagation="ENABLED",
            domain_settings=_Domain.DomainSettingsProperty(execution_role_identity_config="USER_PROFILE_NAME"),
            default_user_settings=_Domain.UserSettingsProperty(
                execution_role=roles.default.role_arn,
                security_groups=[network.apps.security_group_id],
                default_landing_uri="studio::",
                studio_web_portal="ENABLED",
                studio_web_portal_settings=_Domain.StudioWebPortalSettingsProperty(
                    hidden_app_types=list(settings.hidden_apps),
                    hidden_instance_types=hidden_instance_types(settings),
                    hidden_ml_tools=list(HIDDEN_TOOLS),
                ),
                auto_mount_home_efs="Enabled" if settings.home_efs else "Disabled",
                space_storage_settings=storage,
                jupyter_lab_app_settings=apps.jupyter_lab(),
                code_editor_app_settings=apps.code_editor(),
                kernel_gateway_app_settings=apps.kernel_gateway(),
            ),
            default_space_settings=_Domain.DefaultSpaceSettingsProperty(
                execution_role=roles.shared.role_arn,
                security_groups=[network.shared_spaces.security_group_id],
                space_storage_settings=storage,
                # Without Studio Classic: its apps need a group that allows connections from other shared spaces' apps.
                jupyter_lab_app_settings=apps.jupyter_lab(),
            ),
        )
        for role in (roles.default, roles.shared):
            self.node.add_dependency(role)  # and on its policies: SageMaker uses the roles when it creates the domain


class _Apps:
    """Settings of each kind of app: images, default image and idle time."""

    def __init__(self, settings: ResearchConfig, images: Sequence[StudioImage]) -> None:
        self._images = images
        self._instance_type = settings.default_instance_type
        self._idle = _Domain.AppLifecycleManagementProperty(
            idle_settings=_Domain.IdleSettingsProperty(
                lifecycle_management="ENABLED",
                idle_timeout_in_minutes=settings.idle_minutes,
                # Researchers can choose a shorter time for their spaces, but not a longer one.
                min_idle_timeout_in_minutes=60,
                max_idle_timeout_in_minutes=settings.idle_minutes,
            )
        )

    def jupyter_lab(self) -> sagemaker.CfnDomain.JupyterLabAppSettingsProperty:
        return _Domain.JupyterLabAppSettingsProperty(**self._settings("JupyterLab"))

    def code_editor(self) -> sagemaker.CfnDomain.CodeEditorAppSettingsProperty:
        return _Domain.CodeEditorAppSettingsProperty(**self._settings("CodeEditor"))

    def kernel_gateway(self) -> sagemaker.CfnDomain.KernelGatewayAppSettingsProperty | None:
        attached = self._attached("KernelGateway")
        if not attached:
            return None
        return _Domain.KernelGatewayAppSettingsProperty(custom_images=[image.custom_image for image in attached])

    def _settings(self, app: App) -> dict[str, Any]:
        """Return an app's settings. Its default is its first image in the file, or SageMaker's image without one."""
        attached, default = self._attached(app), _Domain.ResourceSpecProperty(instance_type=self._instance_type)
        return {
            "app_lifecycle_management": self._idle,
            "custom_images": [image.custom_image for image in attached],
            "default_resource_spec": attached[0].resource_spec(self._instance_type) if attached else default,
        }

    def _attached(self, app: App) -> list[AttachedImage]:
        return [image.apps[app] for image in self._images if app in image.apps]
