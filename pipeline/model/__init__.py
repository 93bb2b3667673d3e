"""Networks, their losses, and what they predict: plain tensors without configuration."""
