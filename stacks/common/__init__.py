"""Constructs and settings that several stacks use."""
