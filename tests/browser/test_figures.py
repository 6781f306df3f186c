"""The figures of the documentation, as a reader sees them."""

from pathlib import Path

import pytest
import pytest_asyncio

pytestmark = pytest.mark.asyncio(loop_scope="session")

DOCS = Path(__file__).parents[2] / "docs"
FIGURES = sorted(DOCS.glob("*/figures/*.svg"))
TERMINALS = {"demo", "watch"}
CUT_OFF = """() => {
    const paper = document.documentElement.getBoundingClientRect();
    const isOutside = ({left, top, right, bottom}) =>
        left < paper.left || top < paper.top || right > paper.right || bottom > paper.bottom;
    return [...document.querySelectorAll("text")]
        .filter((text) => isOutside(text.getBoundingClientRect()))
        .map((text) => text.textContent);
}"""
OUT_OF_THEIR_BOXES = """() => {
    const boxes = [...document.querySelectorAll("rect")].map((box) => box.getBoundingClientRect());
    const sizeOf = ({width, height}) => width * height;
    const middleOf = ({left, right, top, bottom}) => [(left + right) / 2, (top + bottom) / 2];
    const isOutside = (text) => {
        const shape = text.getBoundingClientRect();
        const [x, y] = middleOf(shape);
        const around = boxes
            .filter(({left, right, top, bottom}) => left < x && x < right && top < y && y < bottom)
            .sort((one, other) => sizeOf(one) - sizeOf(other));
        return shape.left < around[0].left || shape.right > around[0].right;
    };
    // A number in a circle sits at the corner of its box.
    return [...document.querySelectorAll("text:not(.n)")]
        .filter(isOutside)
        .map((text) => text.textContent);
}"""
COLOURS = """() => ["rect", "text"].map(
    (name) => getComputedStyle(document.querySelector(name)).fill
)"""


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def page(chromium):
    page = await chromium.new_page()
    yield page
    await page.close()


@pytest.mark.parametrize("figure", FIGURES, ids=lambda path: path.stem)
async def test_no_text_of_a_figure_is_cut_off(figure, page):
    """Each word is within the paper and its box, in a font that the machine may have chosen itself."""
    await page.goto(figure.as_uri())

    assert await page.evaluate(CUT_OFF) == []
    assert await page.evaluate(OUT_OF_THEIR_BOXES) == []


@pytest.mark.parametrize(
    "figure", [each for each in FIGURES if each.stem not in TERMINALS], ids=lambda path: path.stem
)
async def test_a_figure_follows_the_readers_colours(figure, page):
    """Paper and text are others where the reader prefers dark; a terminal's picture is dark."""
    await page.emulate_media(color_scheme="light")
    await page.goto(figure.as_uri())
    light = await page.evaluate(COLOURS)
    await page.emulate_media(color_scheme="dark")
    dark = await page.evaluate(COLOURS)

    assert light[0] != dark[0]
    assert light[1] != dark[1]
