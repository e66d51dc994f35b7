"""What is written: prompts, sentences, drafts."""
