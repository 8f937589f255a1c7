"""The data bucket. tests/policies proves that it is private and encrypted."""

from tests.stacks.policies import Template, only


def test_only_old_versions_expire(template: Template) -> None:
    properties = only(template, "AWS::S3::Bucket")["Properties"]
    assert properties["BucketName"] == "coatcheck-research-555555555555-us-east-1"
    assert properties["VersioningConfiguration"] == {"Status": "Enabled"}
    rules = {rule["Id"]: rule for rule in properties["LifecycleConfiguration"]["Rules"]}
    assert rules["ExpireOldVersions"]["NoncurrentVersionExpiration"] == {"NoncurrentDays": 90}
    assert not [rule for rule in rules.values() if "ExpirationInDays" in rule]
