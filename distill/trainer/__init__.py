"""Fine-tuning: a process of its own that turns a base model and a file of examples into a LoRA adapter.

In: a folder with `job.json`. Out: checkpoints in that folder, each with the adapter as it is served, and one JSON
object a line on standard output about how it goes. Nothing else of the project imports this room: it is started with
`python -m distill.trainer FOLDER`, so that torch is loaded, and its memory freed, apart from everything else.

    job                what is to be done
    events             what is said about it
    hyperparameters    what `auto` means, and why
    stopping           ending early, without losing anything
    base               the model to start from, and its tokenizer
    conversation       messages into tokens, exactly as they are served
    examples           training files into rows of tokens
    packed             many short examples in one sequence, and their loss
    order              which example when
    methods            supervised and DPO, on TRL's trainers
    device             what this machine can compute with
    checkpoints        folders that are whole or not there
    progress           reports, checkpoints and stops, while it trains
    gguf_adapter       the adapter in the format that is served
    gguf_base          a base that came in another format, in that which is served
    served             the model as llama.cpp serves it
    check              is it the one that was trained?
    run                all of it, in order
    merge              an adapter and its base into one model, for export
"""
