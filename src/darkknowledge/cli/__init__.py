"""``dk STAGE key=value``: Hydra's grammar, checked settings, one message for a mistake."""
