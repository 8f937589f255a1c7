"""Who signs on: users and groups, their assignment to the domain, their profiles, the spaces they share."""

from aws_cdk import RemovalPolicy
from aws_cdk import aws_identitystore as identitystore
from aws_cdk import aws_sagemaker as sagemaker
from aws_cdk import aws_sso as sso
from constructs import Construct

from stacks.deployment import BaseDeployment
from stacks.deployment.research import GroupConfig, IdentityCenterConfig, ResearchConfig, SpaceConfig, UserConfig
from stacks.research.domain import Domain
from stacks.research.roles import Roles


class People(Construct):
    """`profiles` and `spaces`: what the template makes in the domain, by name."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        deployment: BaseDeployment,
        research: ResearchConfig,
        domain: Domain,
        roles: Roles,
        removal_policy: RemovalPolicy,
    ) -> None:
        super().__init__(scope, id)
        self._deployment, self._domain, self._roles = deployment, domain, roles
        self.profiles: dict[str, sagemaker.CfnUserProfile] = {}
        self._user_ids: dict[str, str] = {}
        for user in research.users:
            assignment = self._assign_user(user, research.identity_center) if research.identity_center else None
            self.profiles[user.profile] = self._profile(user, assignment)
        for index, group in enumerate(research.groups):
            if research.identity_center:
                self._assign_group(f"Group{index}-{group.name}", group, research.identity_center)
        owners = {user.name: user.profile for user in research.users}
        self.spaces = {space.name: self._space(space, owners[space.owner], removal_policy) for space in research.spaces}

    def _assign_user(self, user: UserConfig, center: IdentityCenterConfig) -> sso.CfnApplicationAssignment:
        self._user_ids[user.name] = user.principal_id or self._create_user(user, center)
        return self._assign(f"Assign-{user.profile}", "USER", self._user_ids[user.name])

    def _create_user(self, user: UserConfig, center: IdentityCenterConfig) -> str:
        return identitystore.CfnUser(
            self,
            f"Create-{user.profile}",
            identity_store_id=center.identity_store_id,
            user_name=user.name,
            display_name=f"{user.given_name} {user.family_name}",
            name=identitystore.CfnUser.NameProperty(given_name=user.given_name, family_name=user.family_name),
            emails=[identitystore.CfnUser.EmailsItemsProperty(value=user.email, type="work", primary=True)],
        ).attr_user_id

    def _assign_group(self, id: str, group: GroupConfig, center: IdentityCenterConfig) -> None:
        group_id = group.principal_id or (
            identitystore.CfnGroup(
                self,
                f"{id}-Create",
                identity_store_id=center.identity_store_id,
                display_name=group.name,
                description=f"Researchers of {self._deployment.name}",
            ).attr_group_id
        )
        for member in group.members:
            identitystore.CfnGroupMembership(
                self,
                f"{id}-Member-{member}",
                identity_store_id=center.identity_store_id,
                group_id=group_id,
                member_id=identitystore.CfnGroupMembership.MemberIdProperty(user_id=self._user_ids[member]),
            )
        self._assign(f"{id}-Assign", "GROUP", group_id)

    def _assign(self, id: str, kind: str, principal_id: str) -> sso.CfnApplicationAssignment:
        return sso.CfnApplicationAssignment(
            self,
            id,
            application_arn=self._domain.attr_single_sign_on_application_arn,
            principal_type=kind,
            principal_id=principal_id,
        )

    def _profile(self, user: UserConfig, assignment: sso.CfnApplicationAssignment | None) -> sagemaker.CfnUserProfile:
        role = self._roles.users[user.profile]
        profile = sagemaker.CfnUserProfile(
            self,
            f"Profile-{user.profile}",
            domain_id=self._domain.attr_domain_id,
            user_profile_name=user.profile,
            single_sign_on_user_identifier="UserName" if assignment else None,
            single_sign_on_user_value=user.name if assignment else None,
            user_settings=sagemaker.CfnUserProfile.UserSettingsProperty(execution_role=role.role_arn),
        )
        profile.node.add_dependency(role)
        if assignment:
            # SageMaker makes no profile for a user who may not sign on: "Access Denied".
            profile.add_resource_dependency(assignment)
        return profile

    def _space(self, space: SpaceConfig, owner: str, removal_policy: RemovalPolicy) -> sagemaker.CfnSpace:
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
        # Its volume goes with it, so that one that is taken out of the deployment file stays in the domain.
        cfn.apply_removal_policy(removal_policy)
        return cfn
