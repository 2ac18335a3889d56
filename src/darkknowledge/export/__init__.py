"""Leaving the house: a student as files that others load, checked against the network that they were made from."""
