"""From bytes to text, whatever charset they say they have.

Only names of this list are believed: Python's codecs include some that take quadratic time
(`punycode`) and some that are not charsets. A wrong declaration is common: UTF-8 is tried next.
"""

from __future__ import annotations

_SAME = {
    "us-ascii": "utf-8", "ascii": "utf-8", "utf-8": "utf-8", "utf8": "utf-8",
    "unicode-1-1-utf-8": "utf-8",
    "gb2312": "gb18030", "gbk": "gb18030", "gb18030": "gb18030", "cp936": "gb18030",
    "big5": "big5hkscs", "big5-hkscs": "big5hkscs", "cp950": "cp950",
    "shift_jis": "cp932", "shift-jis": "cp932", "x-sjis": "cp932", "cp932": "cp932",
    "windows-31j": "cp932",
    "euc-jp": "euc_jp", "iso-2022-jp": "iso2022_jp_2", "euc-kr": "cp949", "ks_c_5601-1987": "cp949",
    "koi8-r": "koi8_r", "koi8-u": "koi8_u", "utf-16": "utf-16", "utf-16le": "utf-16-le",
    "utf-16be": "utf-16-be", "tis-620": "tis_620", "cp1251": "cp1251", "cp1252": "cp1252",
    "cp866": "cp866",
    **{f"iso-8859-{number}": f"iso8859_{number}" for number in range(1, 17) if number != 12},
    **{f"windows-{number}": f"cp{number}" for number in range(1250, 1259)},
}  # fmt: skip


def known(charset: str) -> bool:
    """Whether this is a charset that we read."""
    return charset.lower() in _SAME


def text_of(data: bytes, charset: str = "") -> str:
    """The text, without NUL; characters that cannot be read are replaced."""
    if data.isascii() and b"\x1b" not in data and not charset.lower().startswith("utf-16"):
        text = data.decode("ascii")
    else:
        text = _read(data, _SAME.get(charset.lower(), "utf-8"))
    return text.replace("\0", "") if "\0" in text else text


def _read(data: bytes, codec: str) -> str:
    for each in (codec, "utf-8"):
        try:
            return data.decode(each)
        except UnicodeDecodeError:
            continue
    # A part may have been cut in the middle of a character, or the charset is a lie.
    return data.decode("latin-1" if codec == "utf-8" else codec, "replace")
