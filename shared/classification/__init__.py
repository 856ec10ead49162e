"""What a reply means: deferral or bounce, why, for whom, and whether its address is dead."""
