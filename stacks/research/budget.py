"""A monthly budget for SageMaker in the account, and mail before it is spent."""

from aws_cdk import aws_budgets as budgets
from constructs import Construct

from stacks.deployment.research import BudgetConfig

_Budget = budgets.CfnBudget
ALARMS = (("ACTUAL", 80), ("ACTUAL", 100), ("FORECASTED", 100))
"""When there is mail: at so many per cent of the budget, spent or foreseen."""


class MonthlyBudget(budgets.CfnBudget):
    """Everything SageMaker costs in the account, the environment's or not: AWS filters by tag only where somebody has
    switched the tag on for the bill."""

    def __init__(self, scope: Construct, id: str, *, budget: BudgetConfig) -> None:
        subscribers = [_Budget.SubscriberProperty(subscription_type="EMAIL", address=email) for email in budget.emails]
        super().__init__(
            scope,
            id,
            budget=_Budget.BudgetDataProperty(
                budget_type="COST",
                time_unit="MONTHLY",
                budget_limit=_Budget.SpendProperty(amount=budget.monthly_usd, unit="USD"),
                cost_filters={"Service": ["Amazon SageMaker"]},
            ),
            notifications_with_subscribers=[
                _Budget.NotificationWithSubscribersProperty(
                    notification=_Budget.NotificationProperty(
                        notification_type=kind,
                        comparison_operator="GREATER_THAN",
                        threshold=per_cent,
                        threshold_type="PERCENTAGE",
                    ),
                    subscribers=subscribers,
                )
                for kind, per_cent in ALARMS
            ],
        )
