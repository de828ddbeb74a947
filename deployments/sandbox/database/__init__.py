"""SQLite: one database per organisation."""
