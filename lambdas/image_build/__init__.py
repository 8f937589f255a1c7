"""The function of the custom resource `Custom::ContainerImage`: builds an image with CodeBuild and returns its digest.

handler.py     the entry point
settings.py    the resource's properties
build.py       start, status and end of a build
"""
