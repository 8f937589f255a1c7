"""Lands a payload: has S3 copy what was handed on into a bucket of the subscriber's own.

handler.py   environment -> arguments
land.py      an execution's input -> a copy, and where it is
"""
