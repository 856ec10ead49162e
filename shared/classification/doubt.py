"""Words by which a refusal may be about something else than a dead address, or may not be for good.

They are looked for when a shipped entry or a code would suppress: with one of them it bounces all
the same, and suppresses nobody, because a living address on the list gets no mail any more, and a
dead one that is not there bounces once again. What the installation's own entries say holds.
"""

from __future__ import annotations

import re

_OF_THE_SENDER = r"""
    \bsenders?\b | \bmail\ ?from\b | \b(?:return|reverse)[- ]?path\b | \benvelope\b | \breply-?to\b
    | \bfrom:?\ (?:(?:header|e-?mail)\ )?address | \b(?:sending|reply|replied)\ from\b
    | \b(?:helo|ehlo)\b | \bcall-?\ ?(?:back|out|ahead)\b | \bverification\b | \bunverified\b
    | \byour\ (?:(?:e-?mail|mail|ip)\ )?(?:address|account|domain|host|server|ip|network)\b
    | \byour\ mailbox\b | \byou\ are\b(?!\ (?:trying|attempting|sending)) | \bblocked\b
    | \b(?:permitted|allowed|authori[sz]ed)\b | \bexternal\b
    | \bfrom\ (?:you|this|these|outside|external|unknown|non-?)\b
    | absender | exp[ée]diteur | \bremitente | \bmittente | 发件人
    """
_OF_OTHER_THINGS = r"""
    \bip\ address\b | \bdns\b | \b(?:mx|ptr|spf|a)\ record | \bhost\ by\ that\ name
    | \b(?:white|allow(?:ed)?|block|black)[- ]?list | \bpolic(?:y|ies)\b | \bnewsletters? | \bbulk\b
    | \btoo\ many\b | \blimit | \bunknown\ (?:users|recipients|mailboxes)\b
    | \b(?:user|mail)[- ]?agents? | \bunknown\ e-?mail\ (?!addr|acc) | \bpassword\b | \blog-?\ ?in\b
    | \brecipient\ (?:policy|count|header)\b | \bmessage-?\ ?id\b
    | \b(?:message|delivery|queue|queued|session|certificate|connection|alias|time|mail\ for)\b
      .{0,60}\b(?:expired|closed)\b | queue\.expired
    | \b(?:ldap|database|lookup|look-?up)\b.{0,30}\b(?:errors?|fail\w*|problems?|unavailable)\b
    | \b(?:backend|back-end|directory|server|service|system|database)\ (?:is\ )?
      (?:currently\ )?(?:unavailable|unreachable|down|not\ (?:reachable|available))\b
    | \bshut(?:ting)?\ down\b | \bpayment\b | \brate\b | (?<!null.)\bMX\b(?![.-]) | \bin\ cache\b
    | \bin\ time\b | \bconfiguration\b
    """
_FOR_A_WHILE = r"""
    \btemporar | \blater\b | \bretry | \b(?:right|for)\ now\b | \btoday\b
    | \b(?:this|the|that)\ (?:time|moment)\b
    | \byet\b | \buntil\b | \bpending\b | \bprovisioning\b | \brecovery\b | \breactivat | \brenew
    | \bgrace\b | \bon\ (?:hold|vacation)\b | \bin\ progress\b | \bmaintenance\b | \bmigrat
    | \bbeing\ moved\b | \bcurrently\b
    """
_WORDS = re.compile(
    rf"(?:{_OF_THE_SENDER}|{_OF_OTHER_THINGS}|{_FOR_A_WHILE})\w*", re.IGNORECASE | re.VERBOSE
)
"""With the rest of a word of which they are the beginning."""
_HOST = re.compile(r"[\w.-]{1,255} ?[\[(][0-9a-f:.]{3,45}[\])]", re.IGNORECASE)
"""Who has said it, as a relay tells: `host mx.example.com[192.0.2.1] said:`."""


def doubt(enhanced: str, text: str) -> str:
    """Why a reply, its text without addresses, is not to suppress anybody: the words, or the code
    of what may change; empty: it may suppress."""
    if enhanced.startswith("4"):
        return enhanced
    found = _WORDS.search(_HOST.sub(" ", text))
    return found[0].strip() if found is not None else ""
