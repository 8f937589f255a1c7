"""Publishing: payloads, objects in S3 and events."""
