"""In the way of torchmetrics for processes that tests start: Fabric imports it where it is installed, which takes as long as torch itself.

It is no dependency of ours, so a user may not have it either.
"""

raise ModuleNotFoundError("no torchmetrics here")
