"""Pages and figures, made from the records alone."""
