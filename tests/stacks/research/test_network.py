"""The network and the data bucket: no way out but to the services needed, and not to anybody else's buckets."""

from typing import Any

from tests.stacks.policies import only, resources, statements, with_sid

Template = dict[str, Any]


def service(endpoint: dict[str, Any]) -> str:
    name = endpoint["Properties"]["ServiceName"]
    return name if isinstance(name, str) else "".join(str(part) for part in name["Fn::Join"][1])


def test_there_is_no_way_out(template: Template) -> None:
    for kind in ("InternetGateway", "NatGateway", "EgressOnlyInternetGateway"):
        assert not resources(template, f"AWS::EC2::{kind}")
    assert {
        subnet["Properties"]["MapPublicIpOnLaunch"] for subnet in resources(template, "AWS::EC2::Subnet").values()
    } == {False}
    # Two zones, which CloudFormation chooses: synth asks nobody.
    zones = [subnet["Properties"]["AvailabilityZone"] for subnet in resources(template, "AWS::EC2::Subnet").values()]
    assert zones == [{"Fn::Select": [index, {"Fn::GetAZs": ""}]} for index in (0, 1)]


def test_custom_images_and_jobs_have_the_endpoints_they_need(template: Template) -> None:
    endpoints = resources(template, "AWS::EC2::VPCEndpoint").values()
    private = {service(e) for e in endpoints if e["Properties"]["VpcEndpointType"] == "Interface"}
    assert private == {
        "com.amazonaws.us-east-1.sagemaker.api",
        "com.amazonaws.us-east-1.sagemaker.runtime",
        "aws.sagemaker.us-east-1.studio",
        "com.amazonaws.us-east-1.ecr.api",
        "com.amazonaws.us-east-1.ecr.dkr",
        "com.amazonaws.us-east-1.sts",
        "com.amazonaws.us-east-1.logs",
        "com.amazonaws.us-east-1.kms",
    }
    for endpoint in endpoints:
        if endpoint["Properties"]["VpcEndpointType"] == "Interface":
            assert endpoint["Properties"]["PrivateDnsEnabled"] is True
    (gateway,) = (e for e in endpoints if e["Properties"]["VpcEndpointType"] == "Gateway")
    assert service(gateway).endswith(".s3")
    assert len(gateway["Properties"]["RouteTableIds"]) == 2


def test_data_leaves_through_s3_to_no_other_account(template: Template) -> None:
    (gateway,) = (
        e
        for e in resources(template, "AWS::EC2::VPCEndpoint").values()
        if e["Properties"]["VpcEndpointType"] == "Gateway"
    )
    policy = gateway["Properties"]["PolicyDocument"]["Statement"]
    assert with_sid(policy, "OwnBuckets")["Condition"] == {
        "StringEquals": {"aws:ResourceAccount": "555555555555", "aws:PrincipalAccount": "555555555555"}
    }
    layers = with_sid(policy, "ImageLayers")
    assert layers["Action"] == "s3:GetObject"
    assert layers["Resource"] == "arn:aws:s3:::prod-us-east-1-starport-layer-bucket/*"
    assert {s["Sid"] for s in policy} == {"OwnBuckets", "ImageLayers"}


def test_strangers_credentials_go_nowhere_through_the_endpoints(template: Template) -> None:
    policies = {
        service(e): e["Properties"].get("PolicyDocument", {}).get("Statement")
        for e in resources(template, "AWS::EC2::VPCEndpoint").values()
        if e["Properties"]["VpcEndpointType"] == "Interface"
    }
    # Sessions of a browser are not signed: no policy can tell them apart.
    assert policies.pop("aws.sagemaker.us-east-1.studio") is None
    assert len(policies) == 7
    for name, (statement,) in policies.items():
        assert statement["Condition"] == {"StringEquals": {"aws:PrincipalAccount": "555555555555"}}, name


def test_nothing_comes_in_but_from_the_apps_themselves(template: Template) -> None:
    ingress = [rule["Properties"] for rule in resources(template, "AWS::EC2::SecurityGroupIngress").values()]
    assert len(ingress) == 2
    for rule in ingress:
        assert "SourceSecurityGroupId" in rule
        assert "CidrIp" not in rule
    assert {(rule["FromPort"], rule["ToPort"]) for rule in ingress} == {(443, 443), (8192, 65_535)}
    for group in resources(template, "AWS::EC2::SecurityGroup").values():
        assert "SecurityGroupIngress" not in group["Properties"]


def test_traffic_is_recorded(template: Template) -> None:
    assert only(template, "AWS::EC2::FlowLog")["Properties"]["TrafficType"] == "ALL"


def test_a_network_that_is_there_is_used_as_it_is(several_template: Template) -> None:
    domain = only(several_template, "AWS::SageMaker::Domain")["Properties"]
    assert domain["VpcId"] == "vpc-0123456789abcdef0"
    assert domain["SubnetIds"] == ["subnet-0123456789abcdef0", "subnet-0123456789abcdef1"]
    assert only(several_template, "AWS::EC2::SecurityGroup")["Properties"]["VpcId"] == "vpc-0123456789abcdef0"
    for kind in ("VPC", "Subnet", "VPCEndpoint"):
        assert not resources(several_template, f"AWS::EC2::{kind}")
    # Studio Classic mounts the home directories.
    ports = {
        r["Properties"]["FromPort"] for r in resources(several_template, "AWS::EC2::SecurityGroupIngress").values()
    }
    assert 2049 in ports


def test_the_data_bucket_is_private_encrypted_and_versioned(template: Template) -> None:
    properties = only(template, "AWS::S3::Bucket")["Properties"]
    assert properties["BucketName"] == "coatcheck-research-555555555555-us-east-1"
    assert set(properties["PublicAccessBlockConfiguration"].values()) == {True}
    assert properties["OwnershipControls"] == {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}
    (rule,) = properties["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    (key,) = resources(template, "AWS::KMS::Key")
    assert rule["ServerSideEncryptionByDefault"] == {
        "SSEAlgorithm": "aws:kms",
        "KMSMasterKeyID": {"Fn::GetAtt": [key, "Arn"]},
    }
    assert rule["BucketKeyEnabled"] is True
    assert properties["VersioningConfiguration"] == {"Status": "Enabled"}
    rules = {rule["Id"]: rule for rule in properties["LifecycleConfiguration"]["Rules"]}
    assert rules["ForgetOldVersions"]["NoncurrentVersionExpiration"] == {"NoncurrentDays": 90}
    # What is current is never deleted.
    assert not [rule for rule in rules.values() if "ExpirationInDays" in rule]
    (deny,) = statements(template, "AWS::S3::BucketPolicy")
    assert deny["Effect"] == "Deny"
    assert deny["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}


def test_the_key_rotates_and_lets_nobody_else_in(template: Template) -> None:
    key = only(template, "AWS::KMS::Key")["Properties"]
    assert key["EnableKeyRotation"] is True
    allowed = [s["Principal"] for s in key["KeyPolicy"]["Statement"] if s["Effect"] == "Allow"]
    assert allowed == [{"AWS": "arn:aws:iam::555555555555:root"}]
