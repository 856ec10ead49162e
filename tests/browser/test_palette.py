"""A picture with a palette shows what it showed before."""

from __future__ import annotations

from playwright.sync_api import Browser, Page

from tests.browser.palette import quantised

PAGE = """<body style="margin:0;background:linear-gradient(90deg,#fff,#2456c4)">
<h1 style="font:40px sans-serif;color:#171b22">Posthaste</h1></body>"""
DECODED = """async (bytes) => {
    const image = await createImageBitmap(new Blob([new Uint8Array(bytes)]));
    const drawn = new OffscreenCanvas(image.width, image.height).getContext("2d");
    drawn.drawImage(image, 0, 0);
    return [...drawn.getImageData(0, 0, image.width, image.height).data];
}"""


def _pixels(page: Page, picture: bytes) -> list[tuple[int, ...]]:
    found: list[int] = page.evaluate(DECODED, list(picture))
    return list(zip(found[0::4], found[1::4], found[2::4], strict=True))


def test_a_picture_keeps_its_look_in_256_colours(chromium: Browser) -> None:
    page = chromium.new_page(viewport={"width": 300, "height": 90})
    page.set_content(PAGE)
    picture = page.screenshot()
    small = quantised(picture)
    before, after = _pixels(page, picture), _pixels(page, small)
    page.close()
    assert len(set(before)) > 200
    assert len(set(after)) <= 256
    assert len(after) == len(before) == 300 * 90
    both = zip(before, after, strict=True)
    assert max(abs(a - b) for one, two in both for a, b in zip(one, two, strict=True)) <= 12
    assert len(small) < len(picture)
