"""One bulk delete: started at most once, found again, waited for, reconciled, cancelled, resumed."""
