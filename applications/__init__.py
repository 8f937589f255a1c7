"""Samples for application developers: an ECS task, an HTTPS endpoint and a state machine."""
