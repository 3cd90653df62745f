"""Answers of a folder that transformers loads, for grading an export: `python -m distill.trainer.answer FOLDER`.

In, on standard input: one JSON list of messages a line. Out: one JSON text a line, in their order, each the greedy
answer. Slow, and only for what no engine serves.
"""

from __future__ import annotations

import json
import sys
from typing import Any

_LONGEST = 80  # tokens


def main(arguments: list[str]) -> int:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    (folder,) = arguments
    tokenizer: Any = AutoTokenizer.from_pretrained(folder)
    model: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    end = tokenizer.convert_tokens_to_ids("<|im_end|>") if "<|im_end|>" in tokenizer.get_vocab() else None
    for line in sys.stdin:
        prompt = tokenizer.apply_chat_template(json.loads(line), add_generation_prompt=True, return_tensors="pt")
        tokens = prompt if isinstance(prompt, torch.Tensor) else prompt["input_ids"]
        with torch.no_grad():
            found = model.generate(
                tokens,
                attention_mask=torch.ones_like(tokens),
                max_new_tokens=_LONGEST,
                do_sample=False,
                eos_token_id=end if end is not None else tokenizer.eos_token_id,
                pad_token_id=tokenizer.eos_token_id,
            )
        text = tokenizer.decode(found[0, tokens.shape[1] :], skip_special_tokens=True)
        print(json.dumps(text), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
