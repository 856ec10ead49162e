"""Where mail goes without a relay: DNS, MX hosts, which addresses are safe, MTA-STS.

`MxRouter` (`mx.py`) turns a domain into a `Route`, a `Bounce` or a `Deferral`; `MtaSts`
(`mta_sts.py`) says what its hosts must prove. `servers.py` and `policy_fetch.py` are the only files
that touch the network; all others are pure or wait for these two.
"""
