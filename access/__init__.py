"""Who may do what in a deployment, read from its synthesized templates."""
