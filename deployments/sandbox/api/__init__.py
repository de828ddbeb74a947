"""The API: one module per kind of object, gathered in `routes`."""
