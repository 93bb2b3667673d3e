"""Any torch module as a network, its gradient by autograd: what `extensions.py` registers."""
