"""The function of two custom resources of a SageMaker domain.

handler.py     the entry point
settings.py    the resources' properties
guard.py       `Custom::DomainGuard`: rejects an update that would replace the domain
clean_up.py    `Custom::DomainCleanUp`: empties the domain before its deletion
"""
