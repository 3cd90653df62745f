"""Fine-tuning jobs: /v1/fine_tuning/jobs, the queue behind it, and the processes that train.

endpoints          the paths
job_request        what a client may ask for
base               what a job starts from
records, objects   what is known of jobs, events and checkpoints, and how it is shown
service, runner    the queue: whose turn it is
preparation        a new job's folder, and its files checked
attempt            one turn of one job
trainer_process    the trainer, as a process that ends with the server
trainer_reports    what the trainer says
progress           its reports, taken into the records exactly once
results            the models and the metrics that a job leaves
"""

from distill.server.jobs.endpoints import ROUTES
from distill.server.jobs.records import SCHEMA
from distill.server.jobs.service import start, stop

__all__ = ["ROUTES", "SCHEMA", "start", "stop"]
