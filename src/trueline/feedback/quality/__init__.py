"""How good labels are, and whose: agreement, truth behind many voices, gold items, drift. With numpy alone."""
