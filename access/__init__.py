"""The access matrix of a deployment, read from its synthesized templates."""
