"""Pretrained networks of other people: their folders, looked at before anything of them is used, and their features."""
