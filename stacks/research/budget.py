"""A monthly budget, with notifications by e-mail."""

from aws_cdk import Environment, Stack
from aws_cdk import aws_budgets as budgets
from constructs import Construct

from stacks.deployment import ResearchNames
from stacks.deployment.research import BudgetConfig

_Budget = budgets.CfnBudget
NOTIFICATIONS = (("ACTUAL", 80), ("ACTUAL", 100), ("FORECASTED", 100))
"""Type of cost and percentage of the budget for each notification."""


class BudgetStack(Stack):
    """The budget in us-east-1, for a Region in which CloudFormation has no budgets. Budgets have no Region."""

    def __init__(self, scope: Construct, names: ResearchNames, *, settings: BudgetConfig) -> None:
        super().__init__(
            scope,
            names.budget_stack,
            env=Environment(account=names.place.account, region="us-east-1"),
            description="coatcheck: the budget of a research environment.",
        )
        MonthlyBudget(self, "Budget", settings=settings)


class MonthlyBudget(budgets.CfnBudget):
    """A budget for all of SageMaker in the account, or for the whole account.

    It has no filter by tag: CloudFormation cannot activate a tag for cost allocation.
    """

    def __init__(self, scope: Construct, id: str, *, settings: BudgetConfig) -> None:
        subscribers = [
            _Budget.SubscriberProperty(subscription_type="EMAIL", address=email) for email in settings.emails
        ]
        super().__init__(
            scope,
            id,
            budget=_Budget.BudgetDataProperty(
                budget_type="COST",
                time_unit="MONTHLY",
                budget_limit=_Budget.SpendProperty(amount=settings.monthly_usd, unit="USD"),
                cost_filters=None if settings.whole_account else {"Service": ["Amazon SageMaker"]},
            ),
            notifications_with_subscribers=[
                _Budget.NotificationWithSubscribersProperty(
                    notification=_Budget.NotificationProperty(
                        notification_type=notification_type,
                        comparison_operator="GREATER_THAN",
                        threshold=percentage,
                        threshold_type="PERCENTAGE",
                    ),
                    subscribers=subscribers,
                )
                for notification_type, percentage in NOTIFICATIONS
            ],
        )
