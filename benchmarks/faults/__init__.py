"""What a run, a recording and their files survive: kills, full disks, flipped bits, stops at every step, many starts at once; and what that costs."""
