"""Which leads: the parameters, their names as ids, and the query of each rule."""
