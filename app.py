"""The CDK app: reads one deployment file and makes its stacks. `cdk.json` names the file; `-c deployment=…` another."""

from aws_cdk import App, Stack

from stacks.common.log_retention import keep_logs
from stacks.deployment import Deployment, DeploymentError, ResearchDeployment, SubscriberConfig, load
from stacks.deployment.cdk_json import deployment_file
from stacks.publisher.replica_stack import ReplicaStack
from stacks.publisher.stack import PublisherStack
from stacks.research.stack import ResearchStack
from stacks.sender import SenderStack
from stacks.subscriber.https_stack import HttpsSubscriberStack
from stacks.subscriber.lambda_stack import LambdaSubscriberStack
from stacks.subscriber.sqs_stack import SqsSubscriberStack


def main() -> None:
    app = App()
    try:
        deployment = load(deployment_file(app.node.try_get_context("deployment")))
    except DeploymentError as error:
        raise SystemExit(str(error)) from None
    add_stacks(app, deployment)
    app.synth()


def add_stacks(app: App, deployment: Deployment | ResearchDeployment) -> None:
    if isinstance(deployment, Deployment):
        add_messaging(app, deployment)
    if deployment.research:
        ResearchStack(app, deployment, deployment.research)
    keep_logs(app, deployment.operations.log_retention_days)


def add_messaging(app: App, deployment: Deployment) -> None:
    replicas = [ReplicaStack(app, deployment, region) for region in deployment.publisher.replicas]
    publisher = PublisherStack(app, deployment)
    for replica in replicas:
        publisher.add_stack_dependency(replica)  # S3 asks for it before it replicates
    for sender in deployment.senders:
        SenderStack(app, deployment, sender)
    for subscriber in deployment.subscribers:
        stack = _subscriber_stack(app, deployment, subscriber)
        if stack.account == publisher.account:
            stack.add_stack_dependency(publisher)  # elsewhere it is people who keep the order


def _subscriber_stack(app: App, deployment: Deployment, subscriber: SubscriberConfig) -> Stack:
    match subscriber.kind:
        case "sqs":
            return SqsSubscriberStack(app, deployment, subscriber)
        case "lambda":
            return LambdaSubscriberStack(app, deployment, subscriber)
        case "https":
            return HttpsSubscriberStack(app, deployment, subscriber)


if __name__ == "__main__":
    main()
