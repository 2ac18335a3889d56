"""The stages: each arrow of the way through the house is one function in a file of its own, one word on the command line, one folder on disk."""
