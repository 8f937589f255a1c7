"""The function of two custom resources of a SageMaker domain.

handler.py     the entry point
settings.py    the resources' properties
guard.py       `Custom::DomainGuard`: rejects an update of what cannot be changed
clean_up.py    `Custom::DomainCleanUp`: empties the domain before its deletion, describes spaces that remain
log_groups.py  also on creation and update: the retention of SageMaker's log groups
"""
