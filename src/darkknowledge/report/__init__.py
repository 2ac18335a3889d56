"""Figures, and one self-contained page: made from run folders alone."""
