"""The research environment: SageMaker Studio with single sign-on, images, data in S3, jobs and pipelines."""
