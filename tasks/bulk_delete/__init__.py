"""One bulk delete: start it at most once, find it again, wait for it, reconcile it, cancel it, resume it."""
