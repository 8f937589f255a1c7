"""A deployment to redrive letters of, and the command."""

from pathlib import Path

from cli.__main__ import main

ACCOUNT = "123456789012"  # the account that moto runs in
NORTH, WEST = "us-east-1", "us-west-2"
DEPLOYMENT = f"""
name = "coatcheck"
[publisher]
account = "{ACCOUNT}"
region = "{NORTH}"
[[subscribers]]
name = "orders"
kind = "sqs"
account = "{ACCOUNT}"
region = "{WEST}"
[[subscribers]]
name = "billing"
kind = "lambda"
account = "{ACCOUNT}"
region = "{NORTH}"
[[subscribers]]
name = "partner"
kind = "https"
account = "{ACCOUNT}"
region = "{NORTH}"
endpoint = "https://partner.example.com/messages"
[[subscribers]]
name = "elsewhere"
kind = "sqs"
account = "222222222222"
region = "{WEST}"
"""


def redrive(file: Path, *arguments: str) -> int:
    return main(["redrive", "--deployment", str(file), "--yes", *arguments])
