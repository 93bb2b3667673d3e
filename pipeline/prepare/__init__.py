"""From labelled data as users have it to a dataset on disk: what the stage `prepare` alone does."""
