"""What answers come from: parts of single samples, and columns of all of them, hidden from the network that answers."""
