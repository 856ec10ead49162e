"""The console: server-rendered pages for people, under /console."""
