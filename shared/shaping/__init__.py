"""Shaping: how much a site, a relay or a route is given at once, and which replies slow it down.

Data and pure functions: `providers.toml` here, `shaping.toml` of the installation over it. Nothing
in this package asks the store or the network.
"""
