"""The contrast of every text on a page against what stands behind it, as WCAG 2.2 computes it (1.4.3, level AA)."""

from playwright.sync_api import Page

# Colors are resolved by a canvas, so that oklch, light-dark and names all end as red, green, blue and alpha. Text over pictures and
# gradients cannot be measured and is left out, as are disabled controls (the rule exempts them) and what nobody sees.
_FAINT = """() => {
  const brush = Object.assign(document.createElement('canvas'), {width: 1, height: 1}).getContext('2d', {willReadFrequently: true});
  const known = new Map();
  const rgba = color => {
    if (!known.has(color)) {
      brush.clearRect(0, 0, 1, 1);
      brush.fillStyle = color;
      brush.fillRect(0, 0, 1, 1);
      const [r, g, b, a] = brush.getImageData(0, 0, 1, 1).data;
      known.set(color, [r, g, b, a / 255]);
    }
    return known.get(color);
  };
  const over = ([r, g, b, a], [R, G, B]) => [r * a + R * (1 - a), g * a + G * (1 - a), b * a + B * (1 - a)];
  const light = color => {
    const [r, g, b] = color.map(one => (one /= 255) <= 0.04045 ? one / 12.92 : ((one + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const chain = element => element ? [element, ...chain(element.parentElement)] : [];
  const dark = matchMedia('(prefers-color-scheme: dark)').matches;
  const found = new Map();
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node; node = walker.nextNode();) {
    const text = node.textContent.trim(), own = node.parentElement;
    if (!text || !own.checkVisibility({opacityProperty: true, visibilityProperty: true})) continue;
    const range = document.createRange();
    range.selectNodeContents(node);
    const box = range.getBoundingClientRect();
    if (box.width < 2 || box.height < 2) continue;
    const above = chain(own), styles = above.map(one => getComputedStyle(one));
    if (above.some(one => one.matches('button[disabled], [aria-disabled=true], input[disabled], script, style'))) continue;
    if (above.some(one => one.querySelector(':scope > input[disabled]'))) continue;
    if (own.closest('[data-testid=stWidgetLabel]')?.parentElement.querySelector('input[disabled]')) continue;
    if (styles.some(style => style.backgroundImage !== 'none')) continue;
    let behind = dark ? [14, 17, 23] : [255, 255, 255];
    for (const style of styles.slice().reverse()) behind = over(rgba(style.backgroundColor), behind);
    const [r, g, b, a] = rgba(styles[0].color);
    const seen = styles.reduce((share, style) => share * Number(style.opacity), a);
    const front = over([r, g, b, seen], behind);
    const [one, two] = [light(front), light(behind)].sort((x, y) => y - x);
    const ratio = (one + 0.05) / (two + 0.05);
    const size = parseFloat(styles[0].fontSize), bold = Number(styles[0].fontWeight) >= 700;
    const icon = styles[0].fontFamily.includes('Material');  // a graphic: 1.4.11 asks for 3
    const least = icon || size >= 24 || (bold && size >= 18.66) ? 3 : 4.5;
    if (ratio < least) found.set(text.slice(0, 60), {text: text.slice(0, 60), ratio: Number(ratio.toFixed(2)), least,
      front: front.map(Math.round).join(' '), behind: behind.map(Math.round).join(' '), tag: own.tagName + '.' + own.className});
  }
  return [...found.values()];
}"""


def faint_texts(page: Page) -> list[dict[str, object]]:
    """Return the texts of a page whose contrast is below 4.5, or 3 for large ones, with their ratio and colors."""
    found: list[dict[str, object]] = page.evaluate(_FAINT)
    return found


def measured_texts(page: Page) -> int:
    """Return how many elements of the page hold text: a page that is not drawn has nothing faint."""
    count: int = page.evaluate(
        "() => [...document.querySelectorAll('[data-testid=stMain] *')].filter(one => [...one.childNodes].some("
        "node => node.nodeType === 3 && node.textContent.trim())).length"
    )
    return count


def cut_tables(page: Page) -> list[int]:
    """Return how many pixels of columns each visible table hides on its right; tables that show all of them are left out."""
    found: list[int] = page.evaluate(
        "() => [...document.querySelectorAll('.dvn-scroller')].filter(one => one.checkVisibility())"
        ".map(one => one.scrollWidth - one.clientWidth).filter(hidden => hidden > 2)"
    )
    return found
