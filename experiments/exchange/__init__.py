"""Exchange: tree ensembles of other libraries come in, forests of the arena go out, leaf for leaf the same."""
