"""The CDK app: the stacks of one deployment file.

`cdk.json` names the file; `-c deployment=…` names another.
"""

from functools import partial

from aws_cdk import Annotations, App, Aspects, Stack

from stacks.common.defaults import Defaults
from stacks.common.log_retention import LogRetention
from stacks.common.own_code import RequirementsError
from stacks.common.platform import apply_platform, use_bootstrap
from stacks.deployment import Deployment, DeploymentError, ResearchDeployment, ResearchNames, SubscriberConfig, load
from stacks.deployment.cdk_json import deployment_file
from stacks.deployment.names import Names
from stacks.deployment.regions import has_resource_type
from stacks.deployment.warnings import warnings
from stacks.publisher.replica_stack import ReplicaStack
from stacks.publisher.stack import PublisherStack
from stacks.research.budget import BudgetStack
from stacks.research.stack import BUDGET_TYPE, ResearchStack
from stacks.sender import SenderStack
from stacks.subscriber.https_stack import HttpsSubscriberStack
from stacks.subscriber.lambda_stack import LambdaSubscriberStack
from stacks.subscriber.sqs_stack import SqsSubscriberStack
from stacks.subscriber.stack import Subscriber


def main() -> None:
    """Synthesize the deployment that the context names."""
    app = App()
    try:
        add_stacks(app, load(deployment_file(app.node.try_get_context("deployment"))))
    except (DeploymentError, RequirementsError) as error:
        raise SystemExit(str(error)) from None
    app.synth()


def add_stacks(app: App, deployment: Deployment | ResearchDeployment) -> None:
    """Add the stacks of a deployment file."""
    defaults = Defaults(deployment)
    use_bootstrap(app, defaults)
    if isinstance(deployment, Deployment):
        add_messaging(app, deployment, Names(deployment), defaults)
    if deployment.research:
        names = ResearchNames(deployment.name, deployment.research)
        ResearchStack(app, names, settings=deployment.research, defaults=defaults)
        budget = deployment.research.budget
        if budget and not has_resource_type(names.place.region, BUDGET_TYPE):
            BudgetStack(app, names, settings=budget)
    Aspects.of(app).add(LogRetention(days=defaults.operations.log_retention_days))
    apply_platform(app, defaults)


def add_messaging(app: App, deployment: Deployment, names: Names, defaults: Defaults) -> None:
    """Add the stacks of the publisher, its senders and its subscribers."""
    publisher = PublisherStack(app, names, settings=deployment.publisher, defaults=defaults)
    for replica in names.publisher.replicas.values():
        replica_stack = ReplicaStack(app, replica, names=names, settings=deployment.publisher, defaults=defaults)
        # S3 requires the replica's bucket before it is configured to replicate.
        publisher.add_stack_dependency(replica_stack)
    for sender in names.senders.values():
        SenderStack(app, sender, defaults=defaults)
    for subscriber in deployment.subscribers:
        stack = add_subscriber(app, deployment, names, subscriber, defaults)
        for warning, text in warnings(deployment, subscriber):
            Annotations.of(stack).add_warning_v2(f"coatcheck:{warning}", text)
        if stack.account == publisher.account:
            stack.add_stack_dependency(publisher)  # in other accounts, operators deploy in this order


def add_subscriber(
    app: App, deployment: Deployment, names: Names, subscriber: SubscriberConfig, defaults: Defaults
) -> Stack:
    """Return the new stack of one subscriber."""
    subscriber_of = partial(
        Subscriber,
        names=names.subscribers[subscriber.name],
        lifetime_days=deployment.publisher.payload_lifetime_days,
        research=names.research,
        defaults=defaults,
    )
    match subscriber.kind:
        case "sqs":
            return SqsSubscriberStack(app, subscriber_of(settings=subscriber))
        case "lambda":
            return LambdaSubscriberStack(app, subscriber_of(settings=subscriber))
        case "https":
            return HttpsSubscriberStack(app, names.subscribers[subscriber.name], settings=subscriber, defaults=defaults)


if __name__ == "__main__":
    main()
