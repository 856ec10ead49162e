"""Twins and fixtures that tests share; nothing here is a test."""
