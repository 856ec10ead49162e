"""What both tiers stand on; imports neither `web` nor `workers`."""
