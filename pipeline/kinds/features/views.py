"""Features have no augmentation of their own: copies are made of samples, and features of the copies."""
