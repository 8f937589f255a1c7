"""`[[research.pipelines]]`: the launcher's step as a SageMaker pipeline; its roles, schedule, and parameter of SSM."""

import importlib.util
import json
import sys
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import pytest
from botocore.session import get_session
from botocore.validate import ParamValidator

from access.template import UnresolvedError
from research import launch, processing_job
from stacks.deployment import ResearchDeployment
from stacks.deployment.research import QC_PARAMETERS
from tests.research.pipeline_execution import UnknownParameter, processing_jobs
from tests.stacks.policies import only, resources, with_sid
from tests.stacks.research.environments import with_changes
from tests.templates import ROOT

Template = dict[str, Any]
Synth = Callable[[ResearchDeployment], Template]
ACCOUNT = "555555555555"
ARN = f"arn:aws:sagemaker:us-east-1:{ACCOUNT}:pipeline/coatcheck-qc"
DIGEST = f"sha256:{'0' * 64}"


@pytest.fixture(scope="session")
def template(synth: Synth, example: ResearchDeployment) -> Template:
    """The example with a pipeline that is started every night."""
    return synth(with_changes(example, {"pipelines": [{"name": "qc", "schedule": "cron(0 3 * * ? *)"}]}))


def text(value: Any) -> str:
    """A joined text with what is known at deployment only replaced by what it might be."""
    match value:
        case str():
            return value
        case {"Fn::Join": [separator, parts]}:
            return str(separator).join(text(part) for part in parts)
        case {"Ref": "Data666C94C7"}:
            return f"coatcheck-research-{ACCOUNT}-us-east-1"
        case {"Ref": "AWS::URLSuffix"}:
            return "amazonaws.com"
        case {"Ref": "AWS::Partition"}:
            return "aws"
        case {"Ref": name}:
            return str(name)
        case {"Fn::GetAtt": [_, "Digest"]}:
            return DIGEST
        case {"Fn::GetAtt": ["Registrypegasus60B86C41", "Arn"]}:
            return f"arn:aws:ecr:us-east-1:{ACCOUNT}:repository/coatcheck-research/pegasus"
        case {"Fn::GetAtt": ["RolesProcessingAE6E2575", "Arn"]}:
            return f"arn:aws:iam::{ACCOUNT}:role/coatcheck-processing"
        case {"Fn::GetAtt": [name, "Arn"]}:
            return f"arn:aws:kms:us-east-1:{ACCOUNT}:key/{name}"
        case {"Fn::GetAtt": [name, "GroupId"]}:
            return f"sg-{name}"
        case {"Fn::Select": [index, {"Fn::Split": [separator, whole]}]}:
            return text(whole).split(separator)[int(index)]
    raise UnresolvedError(str(value))


def definition(template: Template) -> dict[str, Any]:
    body = only(template, "AWS::SageMaker::Pipeline")["Properties"]["PipelineDefinition"]["PipelineDefinitionBody"]
    found: dict[str, Any] = json.loads(text(body))
    return found


def qc(template: Template, **parameters: Any) -> dict[str, Any]:
    (job,) = processing_jobs(definition(template), parameters, execution="abcdefghijkl")
    return job


def environment(template: Template) -> processing_job.Environment:
    parameter = only(template, "AWS::SSM::Parameter")["Properties"]
    return processing_job.Environment.from_parameter(text(parameter["Value"]), parameter["Name"])


def test_the_step_is_the_launchers(template: Template) -> None:
    """Job by job the same, but for what an execution is given and where its script lies."""
    of_pipeline = qc(template, Input="s3://b/cells.h5", InstanceType="ml.t3.xlarge")
    code = of_pipeline["ProcessingInputs"][1]["S3Input"]["S3Uri"]
    launched = launch.request(
        environment(template),
        name="coatcheck-qc",
        script=launch.SCRIPT,
        data="s3://b/cells.h5",
        arguments=of_pipeline["AppSpecification"]["ContainerArguments"],
        instance_type="ml.t3.xlarge",
    )
    launched["ProcessingInputs"][1]["S3Input"]["S3Uri"] = code
    launched["AppSpecification"]["ContainerEntrypoint"][1] = f"/opt/ml/processing/input/code/{code.rpartition('/')[2]}"
    output = f"s3://coatcheck-research-{ACCOUNT}-us-east-1/shared/qc/output/abcdefghijkl"
    launched["ProcessingOutputConfig"]["Outputs"][0]["S3Output"]["S3Uri"] = output
    assert of_pipeline == launched


def test_the_step_is_one_that_the_api_takes(template: Template) -> None:
    model: Any = get_session().get_service_model("sagemaker")
    shape = model.operation_model("CreateProcessingJob").input_shape
    assert ParamValidator().validate(qc(template), shape).generate_report() == ""


def test_an_execution_has_its_thresholds_and_its_own_output(template: Template) -> None:
    job = qc(template, PercentMito=5, MinUmis="1000", Sample="donor 1")
    assert job["AppSpecification"]["ContainerArguments"] == [
        *("--sample", "donor 1", "--transpose", "no", "--min-genes", "500", "--max-genes", "6000"),
        *("--min-umis", "1000", "--max-umis", "none", "--mito-prefix", "MT-", "--percent-mito", "5"),
    ]
    other = processing_jobs(definition(template), {}, execution="zyxwvutsrqpo")
    assert qc(template)["ProcessingOutputConfig"] != other[0]["ProcessingOutputConfig"]
    with pytest.raises(UnknownParameter, match="PercentMitto: not in Input, Output"):
        qc(template, PercentMitto=5)


@pytest.fixture
def job() -> Iterator[ModuleType]:
    spec = importlib.util.spec_from_file_location("qc_metrics_of_pipelines", launch.SCRIPT)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


def test_the_scripts_parameters_are_its_arguments_with_its_defaults(template: Template, job: ModuleType) -> None:
    given = job._parser().parse_args(qc(template)["AppSpecification"]["ContainerArguments"])
    assert given == job._parser().parse_args([])
    assert set(QC_PARAMETERS) == set(vars(given)) - {"base_dir", "min_genes_before"}


def test_another_script_has_other_parameters(synth: Synth, example: ResearchDeployment) -> None:
    pipelines = [{"name": "sum", "script": "research/launch.py", "parameters": {"per_cent": 2.5, "how": "fast"}}]
    template = synth(with_changes(example, {"pipelines": pipelines}))
    assert qc(template)["AppSpecification"]["ContainerArguments"] == ["--per-cent", "2.5", "--how", "fast"]
    kinds = {each["Name"]: each["Type"] for each in definition(template)["Parameters"]}
    assert kinds == dict.fromkeys(("Input", "Output", "InstanceType", "How"), "String") | {"PerCent": "Float"}


def statements_of(template: Template, role: dict[str, Any]) -> list[dict[str, Any]]:
    (name,) = role["Fn::GetAtt"][:1]
    return [
        statement
        for policy in resources(template, "AWS::IAM::Policy").values()
        if {"Ref": name} in policy["Properties"]["Roles"]
        for statement in policy["Properties"]["PolicyDocument"]["Statement"]
    ]


def test_a_pipelines_role_starts_its_own_jobs_as_the_processing_role(template: Template) -> None:
    found = statements_of(template, only(template, "AWS::SageMaker::Pipeline")["Properties"]["RoleArn"])
    assert {s["Sid"] for s in found} == {
        *("StartJobs", "FollowJobs", "PassProcessingRole", "SeeKey", "EncryptVolumes"),
    }
    jobs = f"arn:aws:sagemaker:us-east-1:{ACCOUNT}:processing-job/coatcheck-qc*"
    assert with_sid(found, "StartJobs")["Resource"] == jobs
    assert with_sid(found, "FollowJobs")["Resource"] == jobs
    types = with_sid(found, "StartJobs")["Condition"]
    assert types["ForAllValues:StringEquals"]["sagemaker:InstanceTypes"][0] == "ml.t3.medium"
    # "For all values" is true of none; so there has to be one.
    assert types["Null"] == {"sagemaker:InstanceTypes": "false"}


def test_a_schedule_starts_one_pipeline(template: Template) -> None:
    schedule = only(template, "AWS::Scheduler::Schedule")["Properties"]
    assert schedule["ScheduleExpression"] == "cron(0 3 * * ? *)"
    assert schedule["Target"]["Arn"] == ARN
    start = with_sid(statements_of(template, schedule["Target"]["RoleArn"]), "Start")
    assert (start["Action"], start["Resource"]) == ("sagemaker:StartPipelineExecution", ARN)


def test_jobs_read_their_script_and_no_other_asset(template: Template) -> None:
    found = statements_of(template, {"Fn::GetAtt": ["RolesProcessingAE6E2575", "Arn"]})
    (reading,) = (s for s in found if s.get("Sid", "").startswith("ReadScript"))
    (listing,) = (s for s in found if s.get("Sid", "").startswith("FindScript"))
    asset = listing["Condition"]["StringEquals"]["s3:prefix"]
    assert asset.endswith(".py")
    assert text(reading["Resource"]).endswith(f":s3:::cdk-hnb659fds-assets-{ACCOUNT}-us-east-1/{asset}")


def test_researchers_run_pipelines_and_do_not_change_them(template: Template) -> None:
    (studio,) = resources(template, "AWS::IAM::ManagedPolicy").values()
    document = studio["Properties"]["PolicyDocument"]
    running = with_sid(document["Statement"], "RunPipelines")
    assert running["Resource"] == [ARN, f"{ARN}/execution/*"]
    assert not [action for action in running["Action"] if action.endswith(("UpdatePipeline", "CreatePipeline"))]
    # IAM takes 6,144 characters of a managed policy.
    assert len(json.dumps(document, separators=(",", ":"))) < 6144


def test_addresses_are_right_in_china(synth: Synth, several: ResearchDeployment) -> None:
    """The suffix of the registry's name is the partition's own, known to CloudFormation."""
    boundary = f"arn:aws-cn:iam::{ACCOUNT}:policy/research-boundary"
    changes = {"region": "cn-north-1", "pipelines": [{"name": "qc"}], "permissions_boundary": boundary}
    template = synth(with_changes(several, changes))
    value = only(template, "AWS::SSM::Parameter")["Properties"]["Value"]
    assert {"Ref": "AWS::URLSuffix"} in value["Fn::Join"][1]
    (role,) = resources(template, "AWS::SageMaker::Pipeline").values()
    jobs = with_sid(statements_of(template, role["Properties"]["RoleArn"]), "StartJobs")["Resource"]
    assert jobs == f"arn:aws-cn:sagemaker:cn-north-1:{ACCOUNT}:processing-job/coatcheck-lab-qc*"


def test_the_default_script_is_the_launchers() -> None:
    assert ROOT / "research" / "jobs" / "qc_metrics.py" == launch.SCRIPT
