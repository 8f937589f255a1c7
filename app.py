"""The CDK app: reads one deployment file and makes its stacks. `cdk.json` names the file; `-c deployment=…` another."""

from pathlib import Path

from aws_cdk import App

from stacks.deployment import Deployment, DeploymentError, ResearchDeployment, load
from stacks.lambda_subscriber import LambdaSubscriberStack
from stacks.publisher import PublisherStack
from stacks.research.stack import ResearchStack
from stacks.sqs_subscriber import SqsSubscriberStack


def main() -> None:
    app = App()
    try:
        deployment = load(Path(app.node.get_context("deployment")))
    except DeploymentError as error:
        raise SystemExit(str(error)) from None
    add_stacks(app, deployment)
    app.synth()


def add_stacks(app: App, deployment: Deployment | ResearchDeployment) -> None:
    if isinstance(deployment, Deployment):
        add_messaging(app, deployment)
    if deployment.research:
        ResearchStack(app, deployment, deployment.research)


def add_messaging(app: App, deployment: Deployment) -> None:
    PublisherStack(app, deployment)
    for subscriber in deployment.subscribers:
        match subscriber.kind:
            case "sqs":
                SqsSubscriberStack(app, deployment, subscriber)
            case "lambda":
                LambdaSubscriberStack(app, deployment, subscriber)


if __name__ == "__main__":
    main()
