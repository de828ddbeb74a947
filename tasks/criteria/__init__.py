"""Which leads: the parameters, their names as ids, and what each rule asks of Close."""
