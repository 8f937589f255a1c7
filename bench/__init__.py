"""Side by side: this library, other people's clients and plain boto3, against one and the same local server."""
