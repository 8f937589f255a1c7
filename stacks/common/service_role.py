"""A role for an AWS service."""

from collections.abc import Sequence

from aws_cdk import aws_iam as iam
from constructs import Construct


class ServiceRole(iam.Role):
    """A role that an AWS service can assume on behalf of this account only."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        service: str,
        account: str,
        role_name: str | None = None,
        managed_policies: Sequence[iam.IManagedPolicy] = (),
    ) -> None:
        self.service = iam.ServicePrincipal(
            f"{service}.amazonaws.com", conditions={"StringEquals": {"aws:SourceAccount": account}}
        )
        super().__init__(
            scope, id, role_name=role_name, assumed_by=self.service, managed_policies=list(managed_policies)
        )
