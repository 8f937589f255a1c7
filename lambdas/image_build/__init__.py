"""The custom resource `Custom::ContainerImage`: builds an image with CodeBuild and answers its digest.

handler.py   which step the framework asks for
build.py     start, look, stop
"""
