"""The Close API over HTTP. Knows nothing of Prefect or of the rest of this project."""
