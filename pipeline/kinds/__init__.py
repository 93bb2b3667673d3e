"""What a sample is: a folder for each kind of data. Nothing else knows more of samples than `kind` says."""
