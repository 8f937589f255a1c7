"""Emulated AWS accounts on one machine: start them, deploy to them with the real CDK CLI, call them."""
