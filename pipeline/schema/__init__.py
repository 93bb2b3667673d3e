"""The typed configuration, one file per section, so that an edit re-runs only the stages that read it."""
