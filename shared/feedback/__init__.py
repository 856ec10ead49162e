"""What comes back about sent mail: how it is recognised as ours, and what it may change."""
