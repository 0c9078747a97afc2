// What is cut off, runs into another text, or has a word on each line; a line for each.
() => {
  const found = [];
  const box = (element) => element.getBoundingClientRect();
  for (const svg of document.querySelectorAll("figure svg")) {
    const frame = box(svg), name = svg.closest("figure").id;
    if (!frame.width) continue;
    // A text with a stroke is the halo of another one.
    const texts = [...svg.querySelectorAll("text")].filter((text) => text.textContent.trim() && !text.getAttribute("stroke"));
    texts.forEach((text, place) => {
      const a = box(text);
      if (a.left < frame.left - 1 || a.right > frame.right + 1 || a.top < frame.top - 1 || a.bottom > frame.bottom + 1)
        found.push(`${name}: cut off: ${text.textContent}`);
      for (const other of texts.slice(place + 1)) {
        const b = box(other);
        const across = Math.min(a.right, b.right) - Math.max(a.left, b.left), down = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
        if (across > 2 && down > 4) found.push(`${name}: ${text.textContent} runs into ${other.textContent}`);
      }
    });
  }
  for (const cell of document.querySelectorAll("td")) {
    const words = cell.textContent.trim().split(/\s+/), range = document.createRange();
    if (!cell.offsetParent || words.length < 3 || words.some((word) => word.length > 20)) continue;
    range.selectNodeContents(cell);
    const lines = new Set([...range.getClientRects()].filter((rectangle) => rectangle.width > 1).map((rectangle) => Math.round(rectangle.bottom / 4)));
    if (lines.size >= words.length && !cell.querySelector("svg")) found.push(`${cell.closest("table").id}: a word a line: ${cell.textContent}`);
  }
  for (const link of document.querySelectorAll("nav a"))
    if (innerWidth > 1000 && box(link).right > innerWidth) found.push(`the navigation is cut at ${link.textContent}`);
  return found;
}
