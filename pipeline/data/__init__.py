"""The stored dataset and its stored views: what every stage reads."""
