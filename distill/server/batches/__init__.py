"""Batches: /v1/batches, which answer a file of requests.

endpoints        the paths
requests         what a client may ask for, and the file that it names
records          what is known of batches and of their results, and how it is shown
runner           the work: which batch goes on, and how far
answers          one request of a batch: asked, and asked again where that may help
result_files     the files of what was answered and what was not
"""

from distill.server.batches.endpoints import ROUTES, start, stop
from distill.server.batches.records import SCHEMA

__all__ = ["ROUTES", "SCHEMA", "start", "stop"]
