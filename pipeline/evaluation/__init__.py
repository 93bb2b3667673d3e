"""How good predictions are: pure functions of labels and predictions."""
