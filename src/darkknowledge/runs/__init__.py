"""The run folder: created exclusively, locked while used; files that are whole or absent."""
