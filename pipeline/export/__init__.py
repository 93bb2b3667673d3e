"""A trained network as one file that runs without Regatta: what the kind learned from training, and the answer, inside."""
