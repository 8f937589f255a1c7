"""The research environment: SageMaker Studio with single sign-on, images of one's own, and data in S3.

stack.py         wires everything below; outputs
settings.py      the `[research]` section of the deployment file
network.py       the VPC and its endpoints, or those that are there already
data_bucket.py   the researchers' data
roles.py         who may do what
images.py        images: repository, builds, SageMaker Image and version, how an app runs it
domain.py        the Studio domain and what every researcher has in it
people.py        users, groups, their assignment and profiles, shared spaces
clean_up.py      what CloudFormation cannot do by itself: refuse a replacement, empty the domain before it goes
workstation.py   the administrator's notebook instance, where one is asked for
budget.py        a monthly budget that tells
"""
