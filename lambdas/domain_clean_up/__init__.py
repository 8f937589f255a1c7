"""What CloudFormation cannot do for a SageMaker domain by itself: two custom resources, one function.

handler.py     which of the two
guard.py       `Custom::DomainGuard`: refuses what would replace the domain
clean_up.py    `Custom::DomainCleanUp`: empties the domain before it is deleted
"""
