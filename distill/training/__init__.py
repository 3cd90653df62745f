"""Training: from cases that prove themselves to the requests that a student learns from.

In: `fixtures/training/` (cases in the format of `evals/cases/`) and `fixtures/patterns/` (phrasings and names, written
by hand). Out: `fixtures/requests.json`, verified variants of the cases and compositions of the operations, and a report
on what training and evaluation share. Nothing here asks a model, and nothing of `evals/` may come out of it.
"""
