"""Roles that SageMaker assumes."""

from collections.abc import Sequence

from aws_cdk import aws_iam as iam
from constructs import Construct

from stacks.common.service_role import ServiceRole


class SageMakerRole(ServiceRole):
    """A role that SageMaker can assume on behalf of this account, in a session that names the researcher.

    The domain sets the profile's name as source identity. SageMaker passes it to each role that it assumes for the
    session, such as the role of a pipeline or a job. Each of these roles must accept it.
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        account: str,
        role_name: str | None = None,
        managed_policies: Sequence[iam.IManagedPolicy] = (),
    ) -> None:
        super().__init__(
            scope, id, service="sagemaker", account=account, role_name=role_name, managed_policies=managed_policies
        )
        assert self.assume_role_policy
        self.assume_role_policy.add_statements(
            iam.PolicyStatement(sid="SetSourceIdentity", principals=[self.service], actions=["sts:SetSourceIdentity"])
        )
