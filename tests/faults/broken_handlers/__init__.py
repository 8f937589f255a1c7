"""Functions with one defect each. The campaign must detect each defect."""
