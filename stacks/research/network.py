"""The network of apps and jobs: private subnets that reach only the AWS services they need."""

from collections.abc import Sequence

from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from aws_cdk import aws_logs as logs
from constructs import Construct

from stacks.common.defaults import Defaults
from stacks.common.service_role import ServiceRole
from stacks.deployment import Place
from stacks.deployment.research import ResearchConfig, UserConfig

INTERFACE_ENDPOINTS = {
    "SageMakerApi": ec2.InterfaceVpcEndpointAwsService.SAGEMAKER_API,
    "SageMakerRuntime": ec2.InterfaceVpcEndpointAwsService.SAGEMAKER_RUNTIME,
    "Studio": ec2.InterfaceVpcEndpointAwsService.SAGEMAKER_STUDIO,
    "EcrApi": ec2.InterfaceVpcEndpointAwsService.ECR,
    "EcrDocker": ec2.InterfaceVpcEndpointAwsService.ECR_DOCKER,
    "Sts": ec2.InterfaceVpcEndpointAwsService.STS,
    "Logs": ec2.InterfaceVpcEndpointAwsService.CLOUDWATCH_LOGS,
    "Kms": ec2.InterfaceVpcEndpointAwsService.KMS,
}
"""Services that an app with a custom image, and a processing job, call from the VPC."""
UNSIGNED_ENDPOINTS = ("Studio",)
"""Endpoints for browser sessions. Their requests are not signed, so a policy cannot test the principal."""
CLASSIC_PORTS = ec2.Port.tcp_range(8192, 65_535)
"""Ports between a researcher's apps of Studio Classic (SageMaker developer guide, "VPC only communication with the
internet")."""


class ResearchNetwork(Construct):
    """`vpc_id`, `subnet_ids` and security groups, in a new VPC or in the VPC that the deployment file names.

    Apps have no sign-on: access to the port is access to the app. Therefore no group allows ingress from
    an app of another researcher, or from a job.

    `apps` is the group of all researchers' apps, `shared_spaces` of shared spaces' apps, `jobs` of jobs and
    `workstation` of the administrator's workstation. `profiles` has the groups of single researchers, by profile, which
    SageMaker adds to `apps`.
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        place: Place,
        settings: ResearchConfig,
        zones: Sequence[str],
        defaults: Defaults,
    ) -> None:
        super().__init__(scope, id)
        vpc: ec2.IVpc
        if settings.vpc_id:
            vpc = ec2.Vpc.from_vpc_attributes(self, "Vpc", vpc_id=settings.vpc_id, availability_zones=list(zones))
            self.subnet_ids = list(settings.subnet_ids)
        else:
            vpc = _vpc(self, place.account, defaults)
            self.subnet_ids = [subnet.subnet_id for subnet in vpc.isolated_subnets]
        self.vpc_id = vpc.vpc_id
        self.apps = _security_group(self, "Apps", vpc, "Apps of researchers.")
        self.shared_spaces = _security_group(self, "SharedSpaces", vpc, "Apps of shared spaces.")
        self.jobs = _security_group(self, "Jobs", vpc, "Processing jobs.")
        self.workstation = (
            _security_group(self, "Workstation", vpc, "The workstation of the administrator.")
            if settings.workstation
            else None
        )
        self.profiles = {user.profile: _classic_group(self, user, vpc) for user in settings.users if settings.classic}
        if not settings.vpc_id:
            clients = [self.apps, self.shared_spaces, self.jobs, *([self.workstation] if self.workstation else [])]
            _add_s3_endpoint(vpc, place, settings.readable_buckets)
            if settings.network == "vpc-only":  # otherwise apps use SageMaker's network
                _add_interface_endpoints(self, vpc, place, clients)


def _security_group(scope: Construct, id: str, vpc: ec2.IVpc, description: str) -> ec2.SecurityGroup:
    # A new VPC has no routes except to the endpoints.
    return ec2.SecurityGroup(scope, id, vpc=vpc, description=description, allow_all_outbound=True)


def _classic_group(scope: Construct, user: UserConfig, vpc: ec2.IVpc) -> ec2.SecurityGroup:
    """Return the group in which a researcher's own apps of Studio Classic reach one another."""
    group = _security_group(scope, f"Profile-{user.profile}", vpc, f"Studio Classic of {user.profile}.")
    group.add_ingress_rule(group, CLASSIC_PORTS, "The researcher's own apps")
    return group


def _vpc(scope: Construct, account: str, defaults: Defaults) -> ec2.Vpc:
    vpc = ec2.Vpc(
        scope,
        "Vpc",
        nat_gateways=0,
        # No resource uses the default security group. To empty it, CDK would add a function that may change groups.
        restrict_default_security_group=False,
        subnet_configuration=[
            ec2.SubnetConfiguration(name="Private", subnet_type=ec2.SubnetType.PRIVATE_ISOLATED, cidr_mask=20)
        ],
    )
    log_group = logs.LogGroup(scope, "FlowLogs", removal_policy=defaults.removal_policy)
    role = ServiceRole(scope, "FlowLogRole", service="vpc-flow-logs", account=account)
    vpc.add_flow_log(
        "FlowLog",
        destination=ec2.FlowLogDestination.to_cloud_watch_logs(log_group, role),
        traffic_type=ec2.FlowLogTrafficType.ALL,
    )
    return vpc


def _add_s3_endpoint(vpc: ec2.IVpc, place: Place, readable_buckets: Sequence[str]) -> None:
    s3 = vpc.add_gateway_endpoint("S3", service=ec2.GatewayVpcEndpointAwsService.S3)
    for statement in s3_endpoint_policy(place, readable_buckets):
        s3.add_to_policy(statement)


def _add_interface_endpoints(
    scope: Construct, vpc: ec2.IVpc, place: Place, clients: Sequence[ec2.ISecurityGroup]
) -> None:
    security_group = ec2.SecurityGroup(
        scope, "Endpoints", vpc=vpc, description="Endpoints of AWS services.", allow_all_outbound=False
    )
    for client in clients:
        security_group.add_ingress_rule(client, ec2.Port.HTTPS, "Apps and jobs")
    for name, service in INTERFACE_ENDPOINTS.items():
        endpoint = ec2.InterfaceVpcEndpoint(
            scope,
            name,
            vpc=vpc,
            service=service,
            subnets=ec2.SubnetSelection(subnet_type=ec2.SubnetType.PRIVATE_ISOLATED),
            security_groups=[security_group],
            private_dns_enabled=True,
            open=False,
        )
        if name not in UNSIGNED_ENDPOINTS:
            endpoint.add_to_policy(interface_endpoint_policy(place))


def interface_endpoint_policy(place: Place) -> iam.PolicyStatement:
    """Return the statement that allows only this account's credentials.

    Otherwise an app could use another account's credentials to send data out through any API that accepts data. This
    account's credentials are limited by the policies of its roles.
    """
    return iam.PolicyStatement(
        sid="OwnPrincipals",
        principals=[iam.StarPrincipal()],
        actions=["*"],
        resources=["*"],
        conditions={"StringEquals": {"aws:PrincipalAccount": place.account}},
    )


def s3_endpoint_policy(place: Place, readable_buckets: Sequence[str]) -> list[iam.PolicyStatement]:
    """Return statements that allow the account's buckets, the readable buckets, and ECR's bucket of image layers.

    All other buckets are denied, for all credentials, so that data cannot leave for another account's bucket.
    """
    account, arn = place.account, f"arn:{place.partition}:s3:::"
    statements = [
        iam.PolicyStatement(
            sid="OwnBuckets",
            principals=[iam.StarPrincipal()],
            actions=["s3:*"],
            resources=["*"],
            conditions={"StringEquals": {"aws:ResourceAccount": account, "aws:PrincipalAccount": account}},
        ),
        iam.PolicyStatement(
            sid="ImageLayers",
            principals=[iam.StarPrincipal()],
            actions=["s3:GetObject"],
            resources=[f"{arn}prod-{place.region}-starport-layer-bucket/*"],
        ),
    ]
    if readable_buckets:
        statements.append(
            iam.PolicyStatement(
                sid="ReadableBuckets",
                principals=[iam.StarPrincipal()],
                actions=["s3:GetObject", "s3:ListBucket", "s3:GetBucketLocation"],
                resources=[f"{arn}{bucket}{suffix}" for bucket in readable_buckets for suffix in ("", "/*")],
                conditions={"StringEquals": {"aws:PrincipalAccount": account}},
            )
        )
    return statements
