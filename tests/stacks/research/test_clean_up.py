"""The custom resources that guard and empty the domain."""

from domain_clean_up.settings import CLEAN_UP, GUARD, CleanUpSettings, GuardSettings
from tests.stacks.policies import Template, only, resources


def test_guard_comes_before_the_domain(template: Template) -> None:
    ((name, guard),) = resources(template, GUARD).items()
    (key,) = resources(template, "AWS::KMS::Key")
    settings = GuardSettings.from_properties(guard["Properties"])
    assert settings.to_properties() == {
        "AuthMode": "sso",
        "DomainName": "coatcheck-research",
        "KmsKeyId": {"Ref": key},
        "IdentityCenter": "arn:aws:sso:::instance/ssoins-1234567890abcdef",
    }
    assert name in only(template, "AWS::SageMaker::Domain")["DependsOn"]


def test_domain_is_emptied_before_its_resources_are_deleted(template: Template) -> None:
    resource = only(template, CLEAN_UP)
    assert {
        "AWS::SageMaker::Domain",
        "AWS::SageMaker::UserProfile",
        "AWS::SageMaker::Space",
        "AWS::EC2::VPCEndpoint",
        "AWS::EC2::SecurityGroup",
        "AWS::IAM::Role",
        "AWS::KMS::Key",
    } <= {template["Resources"][name]["Type"] for name in resource["DependsOn"]}
    assert len([name for name in resource["DependsOn"] if name.startswith("CleanUpPermissions")]) == 1
    settings = CleanUpSettings.from_properties(resource["Properties"])
    assert settings.profiles == ("ada", "grace-example-com")
    assert settings.spaces == ("single-cell",)
    assert settings.ephemeral is False
    assert len(settings.retained) == 3
