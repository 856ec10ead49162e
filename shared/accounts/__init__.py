"""People who use the console: who they are, what they may do, how they sign in."""
