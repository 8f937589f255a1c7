"""The copy function: S3 copies a payload into the subscriber's landing bucket, across accounts and Regions.

handler.py    an execution's input -> the landed payload
settings.py   the function's settings
"""
