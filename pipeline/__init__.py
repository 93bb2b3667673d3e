"""Regatta: from labelled data to a trained deep network and the evidence for every choice in it."""

import os

__version__ = "0.1.0"

# Read when torch is loaded. Threads that wait by spinning make two trainings on one machine 10 to 100 times slower.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
