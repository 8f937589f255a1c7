"""What researchers use: the image they work in, jobs, notebooks, and what starts a job.

image/       what is built into images: a Dockerfile and pinned requirements each
jobs/        scripts that run as processing jobs, or anywhere; each stands alone
notebooks/   for Studio
step.py      the processing job that a script runs in: one definition, for all that start it
launch.py    starts it: `python -m research.launch DATA`
"""
