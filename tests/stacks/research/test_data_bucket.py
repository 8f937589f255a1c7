"""The data bucket."""

from tests.stacks.policies import Template, only, resources, statements


def test_data_bucket_is_private_encrypted_and_versioned(template: Template) -> None:
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
    (deny,) = statements(template, "AWS::S3::BucketPolicy")
    assert deny["Effect"] == "Deny"
    assert deny["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}


def test_only_old_versions_expire(template: Template) -> None:
    properties = only(template, "AWS::S3::Bucket")["Properties"]
    assert properties["VersioningConfiguration"] == {"Status": "Enabled"}
    rules = {rule["Id"]: rule for rule in properties["LifecycleConfiguration"]["Rules"]}
    assert rules["ExpireOldVersions"]["NoncurrentVersionExpiration"] == {"NoncurrentDays": 90}
    assert not [rule for rule in rules.values() if "ExpirationInDays" in rule]
