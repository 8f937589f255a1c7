"""Code that several functions use.

deadline.py   the time that an invocation has left
elapsed.py    elapsed time, for metrics
handoff.py    from a message to the hand-off
settings.py   settings as environment variables
"""
