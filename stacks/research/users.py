"""Users and groups, their assignment to the domain, user profiles, and shared spaces."""

from aws_cdk import RemovalPolicy
from aws_cdk import aws_identitystore as identitystore
from aws_cdk import aws_sagemaker as sagemaker
from aws_cdk import aws_sso as sso
from constructs import Construct

from stacks.common.defaults import Defaults
from stacks.deployment.research import GroupConfig, IdentityCenterConfig, ResearchConfig, SpaceConfig, UserConfig
from stacks.research.domain import StudioDomain
from stacks.research.network import ResearchNetwork
from stacks.research.roles import Roles


class Users(Construct):
    """`profiles` and `spaces` of the template, by name."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        settings: ResearchConfig,
        domain: StudioDomain,
        roles: Roles,
        network: ResearchNetwork,
        defaults: Defaults,
    ) -> None:
        super().__init__(scope, id)
        self._domain, self._roles, self._network, self._defaults = domain, roles, network, defaults
        self.profiles: dict[str, sagemaker.CfnUserProfile] = {}
        self._user_ids: dict[str, str] = {}
        center = settings.identity_center
        for user in settings.users:
            assignment = self._assign_user(user, center) if center else None
            self.profiles[user.profile] = self._add_profile(user, assignment)
        for index, group in enumerate(settings.groups):
            if center:
                self._assign_group(f"Group{index}-{group.name}", group, center)
        owners = {user.name: user.profile for user in settings.users}
        self.spaces = {space.name: self._add_space(space, owners[space.owner]) for space in settings.spaces}

    def _assign_user(self, user: UserConfig, center: IdentityCenterConfig) -> sso.CfnApplicationAssignment:
        self._user_ids[user.name] = user.principal_id or self._create_user(user, center)
        return self._assign(f"Assign-{user.profile}", "USER", self._user_ids[user.name])

    def _create_user(self, user: UserConfig, center: IdentityCenterConfig) -> str:
        new = identitystore.CfnUser(
            self,
            f"Create-{user.profile}",
            identity_store_id=center.identity_store_id,
            user_name=user.name,
            display_name=f"{user.given_name} {user.family_name}",
            name=identitystore.CfnUser.NameProperty(given_name=user.given_name, family_name=user.family_name),
            emails=[identitystore.CfnUser.EmailsItemsProperty(value=user.email, type="work", primary=True)],
        )
        _retain(new)
        return new.attr_user_id

    def _assign_group(self, id: str, group: GroupConfig, center: IdentityCenterConfig) -> None:
        group_id = group.principal_id or self._create_group(f"{id}-Create", group, center)
        for member in group.members:
            identitystore.CfnGroupMembership(
                self,
                f"{id}-Member-{member}",
                identity_store_id=center.identity_store_id,
                group_id=group_id,
                member_id=identitystore.CfnGroupMembership.MemberIdProperty(user_id=self._user_ids[member]),
            )
        self._assign(f"{id}-Assign", "GROUP", group_id)

    def _create_group(self, id: str, group: GroupConfig, center: IdentityCenterConfig) -> str:
        new = identitystore.CfnGroup(
            self,
            id,
            identity_store_id=center.identity_store_id,
            display_name=group.name,
            description=f"Researchers of {self._defaults.name}",
        )
        _retain(new)
        return new.attr_group_id

    def _assign(self, id: str, principal_type: str, principal_id: str) -> sso.CfnApplicationAssignment:
        return sso.CfnApplicationAssignment(
            self,
            id,
            application_arn=self._domain.attr_single_sign_on_application_arn,
            principal_type=principal_type,
            principal_id=principal_id,
        )

    def _add_profile(
        self, user: UserConfig, assignment: sso.CfnApplicationAssignment | None
    ) -> sagemaker.CfnUserProfile:
        role, group = self._roles.users[user.profile], self._network.profiles.get(user.profile)
        profile = sagemaker.CfnUserProfile(
            self,
            f"Profile-{user.profile}",
            domain_id=self._domain.attr_domain_id,
            user_profile_name=user.profile,
            single_sign_on_user_identifier="UserName" if assignment else None,
            single_sign_on_user_value=user.name if assignment else None,
            user_settings=sagemaker.CfnUserProfile.UserSettingsProperty(
                execution_role=role.role_arn, security_groups=[group.security_group_id] if group else None
            ),
        )
        profile.node.add_dependency(role)
        if assignment:
            # For a user without an assignment, SageMaker rejects the profile: "Access Denied".
            profile.add_resource_dependency(assignment)
        return profile

    def _add_space(self, space: SpaceConfig, owner: str) -> sagemaker.CfnSpace:
        cfn = sagemaker.CfnSpace(
            self,
            f"Space-{space.name}",
            domain_id=self._domain.attr_domain_id,
            space_name=space.name,
            ownership_settings=sagemaker.CfnSpace.OwnershipSettingsProperty(owner_user_profile_name=owner),
            space_sharing_settings=sagemaker.CfnSpace.SpaceSharingSettingsProperty(sharing_type="Shared"),
            space_settings=sagemaker.CfnSpace.SpaceSettingsProperty(
                app_type="JupyterLab",
                space_storage_settings=sagemaker.CfnSpace.SpaceStorageSettingsProperty(
                    ebs_storage_settings=sagemaker.CfnSpace.EbsStorageSettingsProperty(
                        ebs_volume_size_in_gb=space.volume_gb
                    )
                ),
            ),
        )
        cfn.add_resource_dependency(self.profiles[owner])
        # SageMaker deletes the volume with the space. So a space that is removed from the file stays in the domain,
        # unless the deployment is ephemeral.
        cfn.apply_removal_policy(self._defaults.removal_policy)
        return cfn


def _retain(principal: identitystore.CfnUser | identitystore.CfnGroup) -> None:
    """Retain a user or group, also of an ephemeral deployment: they sign on to other applications, too.

    One that a failed deployment has just created is deleted, so that the deployment can be repeated.
    """
    principal.apply_removal_policy(RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE)
