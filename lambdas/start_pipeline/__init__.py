"""The pipeline trigger: it copies a processed payload to the data bucket and starts a SageMaker pipeline with it.

handler.py    an event of the subscriber's bus
settings.py   the function's settings
pipeline.py   a hand-off -> a copy, an execution of the pipeline, and an event about it
"""
