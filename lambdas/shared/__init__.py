"""Code that several functions use.

settings.py    settings as environment variables
handoff.py     from a message to the hand-off; the hand-off as an execution's input and as a task's environment
telemetry.py   logger and metrics
"""
