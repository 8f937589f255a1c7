"""Copies a payload into the subscriber's landing bucket. S3 copies it, across accounts and Regions.

handler.py    an execution's input -> the landed payload
settings.py   the function's settings
copy.py       a hand-off -> a copy
"""
