"""`python -m pipeline.tracking`: the mirror's process, which pipeline/mirror.py starts."""

from pipeline.tracking.process import main

main()
