"""One file a group of pages; `web.console.blueprint` has the list."""
