"""Code that several functions use.

settings.py      settings as environment variables
handoff.py       from a message to the hand-off; the hand-off as an execution's input and as a task's environment
message_text.py  JSON as the body of a message
telemetry.py     logger and metrics
"""
