"""Networks whose weights are stacked along a leading axis: plain modules without configuration."""
