"""Images: read, stored as uint8 (C, H, W), augmented by one warp and one colour matrix, shown."""
