"""Which tokens are learned, and that the packed loss, the exported adapter and the merged model are the real ones.

The computing happens in a process of its own, which prints what it found.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Ask = Callable[..., Any]

pytestmark = pytest.mark.slow


_ROWS = """
import json, sys
from transformers import AutoTokenizer
from distill.trainer.conversation import Conversation
from distill.trainer.examples import preference_pairs, supervised_rows
from distill.training_files import Example, Message

tokenizer = AutoTokenizer.from_pretrained(sys.argv[1])
conversation = Conversation(tokenizer)
user, first, second = Message("user", "a?"), Message("assistant", "one", 0), Message("assistant", " two\\n")
dialog = Example(1, (Message("developer", "Be brief."), user, first, user, second))
pair = Example(2, (user,), preferred=second, non_preferred=first)

(row,) = supervised_rows([dialog], conversation, 256)
(both,) = supervised_rows([Example(1, (user, Message("assistant", "one"), user, second))], conversation, 256)
(pair,) = preference_pairs([pair], conversation, 256)
tokenizer.chat_template = tokenizer.chat_template.replace("m['content']", "(m['content'] if loop.last else '...')")
forgetful = supervised_rows([Example(1, (user, Message("assistant", "one"), user, second))], conversation, 256)

def learned(row):
    return tokenizer.decode([label for label in row.labels if label != -100])

print(json.dumps({
    "text": tokenizer.decode(row.input_ids),
    "learned": learned(row),
    "aligned": all(label in (-100, token) for token, label in zip(row.input_ids, row.labels, strict=True)),
    "both": learned(both),
    "pair": [tokenizer.decode(ids) for ids in (pair.prompt_ids, pair.chosen_ids, pair.rejected_ids)],
    "forgetful": [learned(row) for row in forgetful],
}))
"""


def test_only_the_assistants_weighted_words_are_learned_with_the_end_of_the_turn(ask: Ask, tiny_model: Path) -> None:
    found = ask(_ROWS, tiny_model)
    assert found["text"] == (
        "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\na?<|im_end|>\n"
        "<|im_start|>assistant\none<|im_end|>\n<|im_start|>user\na?<|im_end|>\n<|im_start|>assistant\n two\n<|im_end|>"
    )
    assert found["learned"] == " two\n<|im_end|>"
    assert found["aligned"]
    assert found["both"] == "one<|im_end|> two\n<|im_end|>"
    assert found["pair"] == [
        "<|im_start|>user\na?<|im_end|>\n<|im_start|>assistant\n",
        " two\n<|im_end|>",
        "one<|im_end|>",
    ]
    assert found["forgetful"] == ["one<|im_end|>", " two\n<|im_end|>"]


_LOSSES = """
import json, random, sys
import torch
from torch.nn import functional
from transformers import AutoModelForCausalLM
from distill.trainer.packed import Packer, PairPacker, log_likelihoods, logits, prepare

model = AutoModelForCausalLM.from_pretrained(sys.argv[1], dtype=torch.float64, attn_implementation="sdpa")
prepare(model)
drawn = random.Random(5)

def some(count):
    return [drawn.randrange(259) for _ in range(count)]

def row(prefix, prompt, answers):
    ids, labels = prefix + some(prompt), [-100] * (len(prefix) + prompt)
    for length, weight in answers:
        piece = some(length)
        ids, labels = ids + piece, labels + (piece if weight else [-100] * length)
    return {"input_ids": ids, "labels": labels}

def plain(rows):
    total = torch.zeros((), dtype=torch.float64)
    for it in rows:
        scores = model(torch.tensor([it["input_ids"]])).logits[0, :-1]
        total = total + functional.cross_entropy(
            scores, torch.tensor(it["labels"][1:]), ignore_index=-100, reduction="sum"
        )
    return total

def packed(rows, kind):
    total = torch.zeros((), dtype=torch.float64)
    batch = Packer(kind)(rows)
    for piece in batch["pieces"]:
        total = total + functional.cross_entropy(logits(model, piece).double(), piece["targets"], reduction="sum")
    return total, len(batch["pieces"]), batch["labels"].numel()

def gradient(loss):
    model.zero_grad()
    loss.backward()
    return torch.cat([it.grad.flatten() for it in model.parameters()])

common = some(12)
batches = {
    "a shared beginning": [row(common, n, [(n + 2, 1)]) for n in range(1, 6)],
    "nothing shared": [row([n + 1], 3, [(4, 1)]) for n in range(4)],
    "the same question": [row(common, 0, [(n + 1, 1)]) for n in range(3)],
    "several turns": [row(common, 2, [(3, 1), (2, 0), (4, 1)]) for _ in range(3)],
    "one alone": [row(common, 2, [(3, 1)])],
    "too many for one": [row(common, 100, [(100, 1)]) for _ in range(6)],
}
found = {}
for name, rows in batches.items():
    truth = plain(rows)
    true_gradient = gradient(truth)
    for kind in ("llama", "mamba"):
        loss, pieces, count = packed(rows, kind)
        off = (gradient(loss) - true_gradient).norm() / true_gradient.norm()
        found[f"{name}, {kind}"] = {
            "loss": loss.item() / truth.item(), "gradient": off.item(), "pieces": pieces, "rows": len(rows),
            "counted": count == sum(label != -100 for it in rows for label in it["labels"]),
        }
pairs = [
    {"prompt_ids": common + some(2), "chosen_ids": some(3 + n), "rejected_ids": some(4)} for n in range(3)
]
found["pairs"] = {}
for kind in ("llama", "mamba"):
    sums, right, count = log_likelihoods(model, PairPacker(kind)(pairs)["pieces"])
    truth = []
    for pair in pairs:
        for answer in (pair["chosen_ids"], pair["rejected_ids"]):
            row = {"input_ids": pair["prompt_ids"] + answer, "labels": [-100] * len(pair["prompt_ids"]) + answer}
            truth.append(-plain([row]).item())
    found["pairs"][kind] = {"off": max(abs(a / b - 1) for a, b in zip(sums.tolist(), truth, strict=True)),
                            "counts": count.tolist()}
print(json.dumps(found))
"""


def test_the_packed_loss_and_its_gradient_are_those_of_each_row_alone(ask: Ask, tiny_model: Path) -> None:
    found = ask(_LOSSES, tiny_model)
    for it in found.pop("pairs").values():
        assert it["off"] < 1e-5
        assert it["counts"] == [3, 4, 4, 4, 5, 4]
    for name, it in found.items():
        assert it["loss"] == pytest.approx(1, rel=1e-5), name
        assert it["gradient"] < 1e-5, name
        assert it["counted"], name
        if name.endswith("mamba"):
            assert it["pieces"] == it["rows"], name
    assert found["a shared beginning, llama"]["pieces"] == 1
    assert found["too many for one, llama"]["pieces"] == 2


_EXPORT = """
import json, sys
from pathlib import Path
import torch
from peft import LoraConfig, get_peft_model
from distill.trainer import base, check, gguf_adapter, gguf_base, merge
from distill.trainer.conversation import Conversation
from distill.trainer.device import Device
from distill.trainer.stopping import Stopping
from distill.training_files import Message

source, folder = sys.argv[1], Path(sys.argv[2])
torch.manual_seed(2)
tokenizer, model = base.load_tokenizer(source), base.load_model(source)
conversation = Conversation(tokenizer)
for name, weights in model.named_parameters():  # otherwise it repeats the last token, whatever the layers do
    if weights.ndim == 2 and "embed" not in name:
        torch.nn.init.normal_(weights, std=0.1)
model.save_pretrained(folder / "base")
tokenizer.save_pretrained(folder / "base")
gguf_base.write(model, tokenizer, folder / "base.gguf")
# the queries and keys alone, and strongly, so that nothing else hides their order
model = get_peft_model(model, LoraConfig(r=4, lora_alpha=8, target_modules=["q_proj", "k_proj"]))
for name, weights in model.named_parameters():
    if "lora_" in name:
        torch.nn.init.normal_(weights, std=0.3)
model.save_pretrained(folder / "adapter")
asked = [(Message("user", f"Say {number}."),) for number in range(16)]

def agreement(gguf, adapter):
    device = Device("cpu", False, 1)
    return check.agreement(model, gguf, adapter, asked, conversation, 256, device, Stopping())[0]

found = {}
gguf_adapter.write(folder / "adapter", model.config, folder / "right.gguf")
found["right"] = agreement(folder / "base.gguf", folder / "right.gguf")
merge.merge_gguf(folder / "base.gguf", folder / "right.gguf", folder / "merged.gguf")
found["merged"] = agreement(folder / "merged.gguf", None)
merge.merge_folder(str(folder / "base"), folder / "adapter", folder / "merged")
merged = base.load_model(str(folder / "merged"))
ids = torch.tensor([conversation.prompt(asked[0])])
with torch.no_grad():
    off = (merged(ids).logits - model(ids).logits).abs().max() / model(ids).logits.abs().max()
found["merged folder is off by"] = off.item()
found["merged folder ends turns alike"] = (
    Conversation(base.load_tokenizer(str(folder / "merged"))).end_of_turn == conversation.end_of_turn
)
found["without"] = agreement(folder / "base.gguf", None)
gguf_adapter.reordered = lambda matrix, heads: matrix
gguf_adapter.write(folder / "adapter", model.config, folder / "wrong.gguf")
found["wrong order"] = agreement(folder / "base.gguf", folder / "wrong.gguf")
try:
    merge.merge_gguf(folder / "right.gguf", folder / "right.gguf", folder / "never.gguf")
except ValueError as error:
    found["refused"] = str(error)
found["left over"] = sorted(path.name for path in folder.iterdir())
print(json.dumps(found))
"""


def test_an_exported_adapter_and_a_merged_model_answer_as_the_trained_one(
    ask: Ask, tiny_model: Path, tmp_path: Path
) -> None:
    found = ask(_EXPORT, tiny_model, tmp_path)
    assert found["right"] > 0.8  # random weights are not sure of anything, so that roundings decide now and then
    assert found["merged"] > 0.8
    assert found["merged folder is off by"] < 0.05
    assert found["merged folder ends turns alike"]
    assert found["without"] < 0.3
    assert found["wrong order"] < 0.3
    assert "is no adapter for" in found["refused"]
    assert found["left over"] == ["adapter", "base", "base.gguf", "merged", "merged.gguf", "right.gguf", "wrong.gguf"]
