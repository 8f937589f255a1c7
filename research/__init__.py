"""Images, notebooks and jobs for researchers.

image/               Dockerfiles and pinned requirements
jobs/                scripts that run as processing jobs, or on any machine; each is one file without imports from here
notebooks/           notebooks for Studio
processing_job.py    the definition of a processing job
launch.py            the command that starts a job: `python -m research.launch DATA`
transfer.py          upload of a job's input, download of its results
follow.py            a job's log and final status
"""
