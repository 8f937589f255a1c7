"""Receiving: messages and their payloads."""
