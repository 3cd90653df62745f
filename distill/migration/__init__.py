"""Moving from OpenAI's platform: what was saved there becomes cases and graders of this project, and saving it.

In: an eval saved from OpenAI with its output items, or a Promptfoo config, such as OpenAI's dashboard exports; and an
account's stored completions, files, evals and jobs. Out: a folder of cases with their grader objects and an experiment,
and a list of what has no equal here, with the reason; and JSON Lines files, one a kind.

What is imported was written by somebody else. Nothing in it is executed, expanded or fetched: variables are replaced
once by values that are not looked at again, code becomes the text of a `python` grader that only the sandbox runs, and
no file outside of the config's own folder is read.
"""
