"""Distil a large model into a small one, with every answer graded by executing it.

Rooms, lowest first; a room imports only from itself and from those above it in this list:

    openai_graders                   OpenAI's grader objects: read, checked and run
    cache                            where things are kept that were fetched or converted once
    sources, cases, results, runs    the data types that everything else speaks
    models                           asking: client, completion store, registry, prices
    sandbox                          worlds: build, confine, run, snapshot, compare
    config, grading                  the experiment; what a grader sees and gives back
    reporting                        rows into statistics, tables, Markdown, the gate
    training_files, trainer          files to fine-tune on, and the process that does (the only room with torch)
    server                           the local platform: OpenAI's API on this machine
    graders (at the top level)       how an answer is scored
    validity, training               proving the cases; requests to learn from
    migration                        OpenAI's evals and Promptfoo configs into cases; saving an account
    suite                            pytest: options, prefetch, items, exit code
    loop                             collect, verify, train, run: from a teacher to a student
    diagnosis, cli                   the `distill` command
"""

__version__ = "0.1.0"
