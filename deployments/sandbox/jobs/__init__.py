"""Background jobs: bulk deletes and exports, and the thread that runs them."""
