"""Networks of which K are trained side by side, with their gradients by hand."""
