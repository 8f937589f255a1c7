"""Images: repository, SageMaker's image versions, and the configuration of apps."""

from tests.stacks.policies import Template, only


def test_repository_keeps_the_last_builds(template: Template) -> None:
    repository = only(template, "AWS::ECR::Repository")["Properties"]
    assert repository["RepositoryName"] == "coatcheck-research/pegasus"
    policy = repository["LifecyclePolicy"]["LifecyclePolicyText"]
    for stage in ("studio", "processing", "code-editor"):
        assert f'"tagPrefixList":["{stage}-"]' in policy
    assert '"countNumber":10' in policy
