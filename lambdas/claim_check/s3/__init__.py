"""S3: the client, copies, multipart uploads and reading."""
