"""Distil a large model into a small one, with every answer graded by executing it.

Rooms, lowest first; a room imports only from itself and from those above it in this list:

    sources, cases, config, grading, results   the data types that everything else speaks
    models                                     asking: client, completion store, registry, prices
    sandbox                                    worlds: build, confine, run, snapshot, compare
    (graders, at the top level)                how an answer is scored
    suite                                      pytest: options, prefetch, results, gate
    reporting                                  statistics, tables, Markdown
    server                                     the local platform: OpenAI's API on this machine
    cli                                        the `distill` command
"""

__version__ = "0.1.0"
