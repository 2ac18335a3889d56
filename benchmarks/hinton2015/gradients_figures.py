def draw(r,f): return []
