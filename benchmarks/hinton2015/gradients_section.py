RECORD="gradients.json"
def section(results): return ""
