"""Studies: which runs, how they are run, what they say."""
