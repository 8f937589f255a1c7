"""A benchmark of this library, other clients and plain boto3, against one local server."""
