"""The command `coatcheck doctor`: what is wrong in the accounts of a deployment. It only reads."""
