"""What the page says of studies: their effects, curves and figures."""
