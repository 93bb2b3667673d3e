"""The stages of the pipeline: each reads its sections of params.yaml and the artifacts before it, and writes its own."""
