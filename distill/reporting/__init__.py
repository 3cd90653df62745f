"""From rows to numbers to tables: what a run found, with honest intervals, and whether that is good enough.

In: the rows of `results.jsonl` and the facts of `run.json`. Out: summaries, comparisons, a gate, a table for the
terminal and `report.md`. `report.build_report` is the way in; the files below it, in the order of the data:

    statistics   intervals, tests, agreement: arrays in, numbers out
    summary      one model in one role: rates, outcomes, tokens, latency, cost
    comparison   two models over the cases that both answered
    gate         thresholds, and whether each is met
    misses       what was missed, and what has no score
    findings     all of these for one run, still without a layout
    text         making a stranger's text harmless, and numbers short
    sentences    findings in words, the same everywhere
    terminal     the table and its lines
    markdown     report.md and the step summary, from templates/
    report       the findings with their three renderings
    evaluations  one model over all runs, for its lineage

This room never asks a model, runs a command or looks at a repository, and knows nothing of pytest.
"""
