"""Distillation as OpenAI's platform has it: a teacher's answers are stored, and a small student learns from them.

It is written for OpenAI, and runs against the local platform without a change:

    distill serve &
    export OPENAI_BASE_URL=http://127.0.0.1:8000/v1 OPENAI_API_KEY=none
    export TEACHER=smollm2-135m-instruct STUDENT=smollm2-135m-instruct
    REQUESTS=60 python examples/tutorial.py

A run that is to teach something wants a better teacher: `distill serve --engine openai:URL` puts the platform in front
of one.
"""

import json
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from openai import OpenAI

TEACHER = os.environ.get("TEACHER", "gpt-4o-2024-08-06")
STUDENT = os.environ.get("STUDENT", "gpt-4o-mini-2024-07-18")
EPOCHS = os.environ.get("EPOCHS", "auto")
REQUESTS = Path(__file__).parent.parent / "fixtures" / "requests.json"
SYSTEM = "Answer with the git command that does what is asked, and nothing else."

client = OpenAI()
requests = json.loads(REQUESTS.read_text(encoding="utf-8"))["requests"]
requests = requests[: int(os.environ.get("REQUESTS", len(requests)))]
held_out = max(2, len(requests) // 10)


# 1. The teacher answers, and the platform keeps the answers.


def ask(request: str) -> None:
    client.chat.completions.create(
        model=TEACHER,
        messages=[{"role": "system", "content": SYSTEM}, {"role": "user", "content": request}],
        temperature=0,
        max_completion_tokens=64,
        store=True,
        metadata={"task": "git"},
    )


with ThreadPoolExecutor(16) as pool:
    list(pool.map(ask, requests))
print(f"{len(requests)} requests asked of {TEACHER}")

# 2. They are found again by their model and metadata, with what was asked.

examples = []
for completion in client.chat.completions.list(model=TEACHER, metadata={"task": "git"}, limit=100):
    asked = client.chat.completions.messages.list(completion.id)
    messages = [{"role": message.role, "content": message.content} for message in asked]
    examples.append([*messages, {"role": "assistant", "content": completion.choices[0].message.content}])
print(f"{len(examples)} stored completions found")
training, testing = examples[:-held_out], examples[-held_out:]

# 3. They become a file, and the file a model.

lines = "".join(json.dumps({"messages": messages}) + "\n" for messages in training)
file = client.files.create(file=("git.jsonl", lines.encode()), purpose="fine-tune")
job = client.fine_tuning.jobs.create(
    model=STUDENT,
    training_file=file.id,
    suffix="git",
    method={
        "type": "supervised",
        "supervised": {"hyperparameters": {"n_epochs": int(EPOCHS) if EPOCHS.isdigit() else "auto"}},
    },
)
while (job := client.fine_tuning.jobs.retrieve(job.id)).status not in ("succeeded", "failed", "cancelled"):
    time.sleep(1)
if job.status != "succeeded" or job.fine_tuned_model is None:
    sys.exit(f"the job {job.status}: {job.error.message if job.error else ''}")
print(f"{job.fine_tuned_model} learned from {job.trained_tokens} tokens")

# 4. It answers what it has not seen, and so did the student before; both are held against the teacher.

evaluation = client.evals.create(
    name="Like the teacher",
    data_source_config={
        "type": "custom",
        "item_schema": {
            "type": "object",
            "properties": {"request": {"type": "string"}, "answer": {"type": "string"}},
            "required": ["request", "answer"],
        },
        "include_sample_schema": True,
    },
    testing_criteria=[
        {
            "type": "text_similarity",
            "name": "Nearly the teacher's answer",
            "evaluation_metric": "fuzzy_match",
            "input": "{{sample.output_text}}",
            "reference": "{{item.answer}}",
            "pass_threshold": 0.8,
        }
    ],
)
items = [{"item": {"request": messages[-2]["content"], "answer": messages[-1]["content"]}} for messages in testing]
for model in (STUDENT, job.fine_tuned_model):
    run = client.evals.runs.create(
        evaluation.id,
        name=model,
        data_source={
            "type": "completions",
            "model": model,
            "input_messages": {
                "type": "template",
                "template": [
                    {"role": "system", "content": SYSTEM},
                    {"role": "user", "content": "{{item.request}}"},
                ],
            },
            "sampling_params": {"temperature": 0, "max_completion_tokens": 64},
            "source": {"type": "file_content", "content": items},
        },
    )
    while (now := client.evals.runs.retrieve(run.id, eval_id=evaluation.id)).status in ("queued", "in_progress"):
        time.sleep(1)
    if now.status != "completed":
        sys.exit(f"the run {now.status}: {now.error.message if now.error else ''}")
    print(f"{now.result_counts.passed} of {now.result_counts.total} like the teacher: {model}")

# 5. And what there is much of goes in a batch.

lines = "".join(
    json.dumps(
        {
            "custom_id": f"request {number}",
            "method": "POST",
            "url": "/v1/chat/completions",
            "body": {
                "model": job.fine_tuned_model,
                "messages": messages[:-1],
                "temperature": 0,
                "max_completion_tokens": 64,
            },
        }
    )
    + "\n"
    for number, messages in enumerate(testing)
)
file = client.files.create(file=("batch.jsonl", lines.encode()), purpose="batch")
batch = client.batches.create(input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h")
while (batch := client.batches.retrieve(batch.id)).status not in ("completed", "failed", "expired", "cancelled"):
    time.sleep(1)
if batch.status != "completed" or batch.output_file_id is None:
    sys.exit(f"the batch {batch.status}: {batch.errors}")
for line in client.files.content(batch.output_file_id).text.splitlines():
    result = json.loads(line)
    print(f"{result['custom_id']}: {result['response']['body']['choices'][0]['message']['content']!r}")
