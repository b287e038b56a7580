"""Fine-tuning a backbone end to end: the loop, and what stands around it."""
