"""Takes in a data set that came as a message: has S3 copy it to the researchers' data, and starts a pipeline with it.

handler.py   environment -> arguments
intake.py    an event of the subscriber's bus -> a copy, an execution, and word of it
"""
