"""The data lake: Parquet parts of sequences and windows, and the manifest that names them."""
