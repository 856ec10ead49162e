"""The HTML of a message as a page that can do nothing: for the inbox and the console."""
