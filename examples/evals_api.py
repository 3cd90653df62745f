"""A workflow on OpenAI's Evals API: define an eval, run a model against it, wait, and read the results.

It is written for OpenAI, and runs against the local platform without a change:

    distill serve &
    export OPENAI_BASE_URL=http://127.0.0.1:8000/v1 OPENAI_API_KEY=none
    MODEL=smollm2-135m-instruct python examples/evals_api.py
"""

import os
import sys
import time

from openai import OpenAI

MODEL = os.environ.get("MODEL", "gpt-4o-mini")
HEADLINES = [
    ("Central bank raises interest rates again", "Markets"),
    ("New phone folds in three places", "Technology"),
    ("Striker scores twice in the cup final", "Sports"),
    ("Neighbors sign a treaty on fishing", "World"),
]

client = OpenAI()

evaluation = client.evals.create(
    name="Topics of headlines",
    data_source_config={
        "type": "custom",
        "item_schema": {
            "type": "object",
            "properties": {"headline": {"type": "string"}, "topic": {"type": "string"}},
            "required": ["headline", "topic"],
        },
        "include_sample_schema": True,
    },
    testing_criteria=[
        {
            "type": "string_check",
            "name": "The topic is named",
            "operation": "ilike",
            "input": "{{sample.output_text}}",
            "reference": "{{item.topic}}",
        },
        {
            "type": "text_similarity",
            "name": "Nothing else is said",
            "evaluation_metric": "fuzzy_match",
            "input": "{{sample.output_text}}",
            "reference": "{{item.topic}}",
            "pass_threshold": 0.8,
        },
    ],
)

run = client.evals.runs.create(
    evaluation.id,
    name=MODEL,
    data_source={
        "type": "completions",
        "model": MODEL,
        "input_messages": {
            "type": "template",
            "template": [
                {"role": "developer", "content": "Answer with one word: Technology, Markets, World or Sports."},
                {"role": "user", "content": "{{item.headline}}"},
            ],
        },
        "sampling_params": {"temperature": 0, "max_completion_tokens": 16},
        "source": {
            "type": "file_content",
            "content": [{"item": {"headline": headline, "topic": topic}} for headline, topic in HEADLINES],
        },
    },
)

while (now := client.evals.runs.retrieve(run.id, eval_id=evaluation.id)).status in ("queued", "in_progress"):
    time.sleep(1)
if now.status != "completed":
    sys.exit(f"the run is {now.status}: {now.error.message if now.error else ''}")

counts = now.result_counts
print(f"{now.model}: {counts.passed} of {counts.total} passed, {counts.failed} failed, {counts.errored} errors")
for criterion in now.per_testing_criteria_results:
    print(f"  {criterion.testing_criteria}: {criterion.passed} passed, {criterion.failed} failed")
for item in client.evals.runs.output_items.list(run.id, eval_id=evaluation.id):
    answer = item.sample.output[0].content if item.sample.output else ""
    print(f"  {item.status:<5} {item.datasource_item['topic']!s:<11} {answer!r}")
