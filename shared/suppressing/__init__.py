"""What people and programs do to the suppression list: the core that API and command share."""
