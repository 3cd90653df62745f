"""The `distill` commands, grouped by what they are about. Each is a few lines over the room that does the work.

Imports of those rooms stand inside the commands, so that `distill --help` answers at once.
"""
