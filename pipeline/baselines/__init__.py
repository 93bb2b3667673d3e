"""What a network is measured against when it is evaluated: the trivial answer, and simple methods of scikit-learn."""
