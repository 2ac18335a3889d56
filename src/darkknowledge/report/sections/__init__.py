"""The sections of a page: each makes, of what was gathered, what there is to show."""
