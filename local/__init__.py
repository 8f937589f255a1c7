"""Emulated AWS accounts on one machine: their processes, deployments with the real CDK CLI, and clients."""
