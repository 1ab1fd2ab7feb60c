"""What a call costs, as ratios to an empty call on the same server in the same run. `make bench` runs it; tests never do."""
