"""The command `coatcheck doctor`: problems in the accounts of a deployment. It only reads."""
