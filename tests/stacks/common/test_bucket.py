"""Properties of every bucket. The emulator ignores most of them."""

from tests.stacks.policies import Template, resources, statements


def test_buckets_are_private_encrypted_and_refuse_plain_http(templates: dict[str, Template]) -> None:
    buckets = [(t, b["Properties"]) for t in templates.values() for b in resources(t, "AWS::S3::Bucket").values()]
    assert len(buckets) == 3
    for template, bucket in buckets:
        assert set(bucket["PublicAccessBlockConfiguration"].values()) == {True}
        assert len(bucket["PublicAccessBlockConfiguration"]) == 4
        assert bucket["OwnershipControls"] == {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}
        (rule,) = bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"]
        assert rule["ServerSideEncryptionByDefault"]["SSEAlgorithm"] in ("aws:kms", "AES256")
        (deny,) = (s for s in statements(template, "AWS::S3::BucketPolicy") if s["Effect"] == "Deny")
        assert deny["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
        assert deny["Action"] == "s3:*"
