"""How an individual is written down and varied: species, their operators, and the genes beside the brain.

One module a species; `genomes.species` says what each must give, `genomes.registry` which there are.
"""
