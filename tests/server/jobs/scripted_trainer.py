"""A trainer that trains nothing: a real process that says what a trainer says, and goes wrong where a test wants it to.

It is copied next to a `script.json` of its own: `epochs`, `steps` (in an epoch), `seconds` (a step) and `runs`, which
says for the first, second, … time that it is started where it stops (`until`) and what happens there (`then`): `kill`,
`exit`, `fail`, `garbage`, or `wait`, until there is a file `go` beside. The last of the runs repeats. With `lingers`,
once it is told to end, it does so only when there is a file `leave` beside.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
STOP = []


def say(event: str, **fields: Any) -> None:
    print(json.dumps({"event": event, **fields}), flush=True)


def checkpoint(folder: Path, step: int) -> str:
    target = folder / "checkpoints" / f"step-{step}"
    if not target.exists():
        partial = target.with_name(f".partial-{step}")
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        for name in ("adapter.gguf", "adapter_model.safetensors", "adapter_config.json", "optimizer.bin"):
            (partial / name).write_text(f"{name} after step {step}")
        partial.rename(target)
    return f"checkpoints/step-{step}"


def measured(step: int) -> dict[str, float]:
    return {"train_loss": 2.0 / step, "train_accuracy": 1 - 0.5 / step}


def begin(folder: Path) -> dict[str, Any]:
    """What to do this time; how often it was started is remembered beside the script."""
    script: dict[str, Any] = {"epochs": 2, "steps": 3, "seconds": 0.0, "runs": [{}]}
    script |= json.loads((HERE / "script.json").read_text())
    with (HERE / "started").open("a") as file:
        file.write(f"{folder.name} {os.getpid()}\n")
    times = sum(line.startswith(folder.name) for line in (HERE / "started").read_text().splitlines())
    (HERE / "environment.json").write_text(json.dumps(dict(os.environ)))
    return {**script, **script["runs"][min(times, len(script["runs"])) - 1]}


def go_wrong(how: str) -> None:
    match how:
        case "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        case "exit":
            sys.exit("ValueError: the moon is in the wrong house")
        case "fail":
            message = "There is not enough memory to train with a batch of 8."
            say("failed", code="out_of_memory", message=message, param=None)
            sys.exit(1)
        case "garbage":
            print(
                "a library says hello\n[1, 2]\n" + '{"event": "step", "step": "seven"}\n' + '{"event": "ste', flush=True
            )
            os.kill(os.getpid(), signal.SIGKILL)
        case "wait":
            while not (HERE / "go").exists() and not STOP:
                time.sleep(0.01)


def main() -> None:
    folder = Path(sys.argv[1])
    task = json.loads((folder / "job.json").read_text())
    script = begin(folder)
    signal.signal(signal.SIGTERM, lambda *_: STOP.append(True))
    if task["base_gguf"] is None:
        (folder / "base.gguf").write_text(f"{task['base']} as it is served")
    total = script["epochs"] * script["steps"]
    used = {"n_epochs": 2, "batch_size": 4, "learning_rate_multiplier": 1.5, "beta": 0.1, "lora_rank": 16}
    chosen = {name: used[name] if value == "auto" else value for name, value in task["hyperparameters"].items()}
    why = {name: "the rule for few examples" for name, value in task["hyperparameters"].items() if value == "auto"}
    examples = len(Path(task["training_file"]).read_bytes().splitlines())
    say(
        "prepared",
        training_examples=examples,
        validation_examples=0,
        total_steps=total,
        trained_tokens_per_epoch=100,
        hyperparameters={**chosen, "lora_rank": 16, "why": why},
    )
    done = [int(path.name.removeprefix("step-")) for path in folder.glob("checkpoints/step-*")]
    if done:
        say("resumed", step=max(done))
    for step in range(max(done, default=0) + 1, total + 1):
        time.sleep(script["seconds"])
        say("step", step=step, epoch=step / script["steps"], learning_rate=float("nan"), **measured(step))
        if step == script.get("until"):
            go_wrong(script["then"])
        if STOP:
            while script.get("lingers") and not (HERE / "leave").exists():
                time.sleep(0.01)
            checkpoint(folder, step)
            sys.exit(3)
        if step % script["steps"] == 0:
            if task["validation_file"]:
                say("validation", step=step, valid_loss=3.0 / step, valid_accuracy=0.5)
            metrics = {"step": step, "train_loss": 2.0 / step, "train_mean_token_accuracy": 1 - 0.5 / step}
            metrics["full_valid_loss"] = None
            folder_name = checkpoint(folder, step)
            say("checkpoint", step=step, epoch=step // script["steps"], folder=folder_name, metrics=metrics)
    say("checked", agreement=1.0, examples=8)
    say("succeeded", folder=f"checkpoints/step-{total}", trained_tokens=100 * script["epochs"])


main()
