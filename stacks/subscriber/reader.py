"""The reader role of a subscriber's own service."""

from collections.abc import Sequence

from aws_cdk import aws_iam as iam
from constructs import Construct

from stacks.cross_account import grant_read_payloads
from stacks.deployment.names import SubscriberNames


class Reader(iam.Role):
    """A role that reads payloads. Principals of the account may assume it."""

    def __init__(
        self, scope: Construct, id: str, *, names: SubscriberNames, principals: Sequence[str], description: str
    ) -> None:
        account: iam.IPrincipal = iam.AccountPrincipal(names.place.account)
        if principals:
            # A condition names the roles. As a principal, a role that does not exist, or is created again later, would
            # break the policy.
            account = iam.PrincipalWithConditions(account, {"ArnEquals": {"aws:PrincipalArn": list(principals)}})
        super().__init__(
            scope, id, role_name=names.reader_role.name, description=description[:1000], assumed_by=account
        )
        grant_read_payloads(self, names)
