"""Tests of the core of the suppression list."""
