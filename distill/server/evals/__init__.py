"""Evals: /v1/evals, and the runs that really ask and grade.

endpoints        the paths
requests         what a client may ask for
records          what is known of evals, runs and items, and how it is shown
sources          where a run's items come from
items            one item: asked, graded, written down
runner           the runs, each a task of its own
"""

from distill.server.evals.endpoints import ROUTES, start, stop
from distill.server.evals.records import SCHEMA

__all__ = ["ROUTES", "SCHEMA", "start", "stop"]
