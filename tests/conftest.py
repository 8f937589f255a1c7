"""For all tests: CDK's own validation of templates takes most of a process's first synth, and one test of its own,
`tests/policies/test_hygiene.py`, runs it. CDK reads the variable when it is imported; a fixture comes too late."""

import os

os.environ["CDK_VALIDATION"] = "false"
