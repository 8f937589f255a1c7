"""The function of two custom resources of a SageMaker domain.

handler.py     the entry point
settings.py    the resources' properties
guard.py       `Custom::DomainGuard`: rejects an update of a fixed value
clean_up.py    `Custom::DomainCleanUp`: empties the domain before its deletion, lists remaining spaces
log_groups.py  also on creation and update: the retention of SageMaker's log groups
"""
