"""What takes time: bulk deletes and exports, and the thread that runs them."""
