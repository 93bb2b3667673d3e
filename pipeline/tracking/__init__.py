"""W&B as the mirror of the records, in a process of its own; the only importer of wandb."""
