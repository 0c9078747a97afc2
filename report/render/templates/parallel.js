// Parallel coordinates: drag along an axis to keep the trials that pass there; press an axis to let go.

function brushable(svg) {
  const lines = [...svg.querySelectorAll("path[aria-label^='trial ']")];
  const axes = [...svg.querySelectorAll(".role-mark.mark-rule line, .mark-rule line")];
  if (!lines.length || axes.length < 2) return;
  const root = lines[0].ownerSVGElement, holder = lines[0].parentNode.parentNode;
  const bands = new Map();
  const points = lines.map((line) => line.getAttribute("d").slice(1).split("L").map((pair) => pair.split(",").map(Number)));
  const update = () => lines.forEach((line, number) => {
    const kept = [...bands].every(([axis, [low, high]]) => points[number][axis][1] >= low && points[number][axis][1] <= high);
    line.classList.toggle("dim", !kept);
  });
  const height = Math.max(...axes.map((axis) => Math.abs(Number(axis.getAttribute("y2")) || 0)));
  points[0].forEach(([x], axis) => {
    const [area, hit] = ["brush-area", "brush-hit"].map((name) => {
      const one = document.createElementNS(svg.namespaceURI, "rect");
      one.setAttribute("class", name);
      one.setAttribute("x", x - 12);
      one.setAttribute("width", 24);
      holder.append(one);
      return one;
    });
    area.setAttribute("height", 0);
    hit.setAttribute("y", -6);
    hit.setAttribute("height", height + 12);
    const at = (event) => new DOMPoint(event.clientX, event.clientY).matrixTransform(holder.getScreenCTM().inverse()).y;
    const draw = (low, high) => {
      if (high - low < 3) bands.delete(axis); else bands.set(axis, [low, high]);
      area.setAttribute("y", low);
      area.setAttribute("height", high - low < 3 ? 0 : high - low);
      update();
    };
    let start = null;
    hit.addEventListener("pointerdown", (event) => { start = at(event); hit.setPointerCapture(event.pointerId); event.preventDefault(); });
    hit.addEventListener("pointermove", (event) => { if (start !== null) draw(Math.min(start, at(event)), Math.max(start, at(event))); });
    hit.addEventListener("pointerup", (event) => { draw(Math.min(start, at(event)), Math.max(start, at(event))); start = null; });
  });
  lines.forEach((line) => {
    line.addEventListener("pointerenter", () => lines.forEach((other) => other.classList.toggle("dim", other !== line)));
    line.addEventListener("pointerleave", update);
  });
  root.style.touchAction = "pan-y";
}

document.querySelectorAll("figure[id^='figure-parallel'] svg").forEach(brushable);
