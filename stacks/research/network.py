"""Where the apps and jobs run: private subnets with no way out but to the AWS services they need."""

from collections.abc import Sequence

from aws_cdk import RemovalPolicy
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from aws_cdk import aws_logs as logs
from constructs import Construct

from stacks.deployment.regions import partition
from stacks.deployment.research import ResearchConfig

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
"""What an app with a custom image, and a processing job, call from inside the VPC."""
UNSIGNED_ENDPOINTS = ("Studio",)
"""Where a browser's session goes: such requests are not signed as a principal, whom a policy could ask for."""
STUDIO_PORTS = ec2.Port.tcp_range(8192, 65_535)
"""What Studio's apps talk to one another on (SageMaker developer guide, "VPC only communication with the internet")."""


class Network(Construct):
    """`vpc_id`, `subnet_ids`, `security_group`: of a VPC made here, or of one that is there."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        research: ResearchConfig,
        zones: Sequence[str],
        removal_policy: RemovalPolicy,
    ) -> None:
        super().__init__(scope, id)
        vpc: ec2.IVpc
        if research.vpc_id:
            vpc = ec2.Vpc.from_vpc_attributes(self, "Vpc", vpc_id=research.vpc_id, availability_zones=list(zones))
            self.subnet_ids = list(research.subnet_ids)
        else:
            vpc = _vpc(self, research.account, removal_policy)
            self.subnet_ids = [subnet.subnet_id for subnet in vpc.isolated_subnets]
        self.vpc_id = vpc.vpc_id
        self.security_group = ec2.SecurityGroup(
            self,
            "SecurityGroup",
            vpc=vpc,
            description="Apps and jobs: out, and among themselves.",
            # In a VPC made here there is nothing out there but the endpoints.
            allow_all_outbound=True,
        )
        self.security_group.add_ingress_rule(self.security_group, STUDIO_PORTS, "Apps, and the instances of one job")
        if research.home_efs:
            self.security_group.add_ingress_rule(self.security_group, ec2.Port.NFS, "Home directories")
        if not research.vpc_id:
            _endpoints(self, vpc, research, self.security_group)


def _vpc(scope: Construct, account: str, removal_policy: RemovalPolicy) -> ec2.Vpc:
    vpc = ec2.Vpc(
        scope,
        "Vpc",
        nat_gateways=0,
        # Emptying the default security group takes a function with rights over security groups; nothing is in it.
        restrict_default_security_group=False,
        subnet_configuration=[
            ec2.SubnetConfiguration(name="Private", subnet_type=ec2.SubnetType.PRIVATE_ISOLATED, cidr_mask=20)
        ],
    )
    log_group = logs.LogGroup(scope, "FlowLogs", removal_policy=removal_policy)
    role = iam.Role(
        scope,
        "FlowLogRole",
        assumed_by=iam.ServicePrincipal(
            "vpc-flow-logs.amazonaws.com", conditions={"StringEquals": {"aws:SourceAccount": account}}
        ),
    )
    vpc.add_flow_log(
        "FlowLog",
        destination=ec2.FlowLogDestination.to_cloud_watch_logs(log_group, role),
        traffic_type=ec2.FlowLogTrafficType.ALL,
    )
    return vpc


def _endpoints(scope: Construct, vpc: ec2.IVpc, research: ResearchConfig, clients: ec2.ISecurityGroup) -> None:
    s3 = vpc.add_gateway_endpoint("S3", service=ec2.GatewayVpcEndpointAwsService.S3)
    for statement in s3_endpoint_policy(research):
        s3.add_to_policy(statement)
    security_group = ec2.SecurityGroup(
        scope, "Endpoints", vpc=vpc, description="Endpoints of AWS services.", allow_all_outbound=False
    )
    security_group.add_ingress_rule(clients, ec2.Port.HTTPS, "Apps and jobs")
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
            endpoint.add_to_policy(interface_endpoint_policy(research))


def interface_endpoint_policy(research: ResearchConfig) -> iam.PolicyStatement:
    """Credentials of the account alone: with a stranger's, brought into an app, data would leave through any API that
    takes some. What the account's own may do is for their roles to say."""
    return iam.PolicyStatement(
        sid="OwnPrincipals",
        principals=[iam.StarPrincipal()],
        actions=["*"],
        resources=["*"],
        conditions={"StringEquals": {"aws:PrincipalAccount": research.account}},
    )


def s3_endpoint_policy(research: ResearchConfig) -> list[iam.PolicyStatement]:
    """Buckets of the account, those that the deployment file names, and ECR's own, where image layers are.

    So data does not leave through S3 into an account of somebody else, with whatever credentials.
    """
    statements = [
        iam.PolicyStatement(
            sid="OwnBuckets",
            principals=[iam.StarPrincipal()],
            actions=["s3:*"],
            resources=["*"],
            conditions={
                "StringEquals": {"aws:ResourceAccount": research.account, "aws:PrincipalAccount": research.account}
            },
        ),
        iam.PolicyStatement(
            sid="ImageLayers",
            principals=[iam.StarPrincipal()],
            actions=["s3:GetObject"],
            resources=[f"arn:{partition(research.region)}:s3:::prod-{research.region}-starport-layer-bucket/*"],
        ),
    ]
    if research.readable_buckets:
        statements.append(
            iam.PolicyStatement(
                sid="ReadableBuckets",
                principals=[iam.StarPrincipal()],
                actions=["s3:GetObject", "s3:ListBucket", "s3:GetBucketLocation"],
                resources=[
                    f"arn:{partition(research.region)}:s3:::{bucket}{suffix}"
                    for bucket in research.readable_buckets
                    for suffix in ("", "/*")
                ],
                conditions={"StringEquals": {"aws:PrincipalAccount": research.account}},
            )
        )
    return statements
