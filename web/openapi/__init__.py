"""What the HTTP API is, as data: one file for each group of routes, put together by `document`."""
