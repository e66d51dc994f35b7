"""llama.cpp: model, chat template, grammar, machine."""
