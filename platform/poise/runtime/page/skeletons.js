// A colour of the page, by its name in the style.
const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

// A canvas, cleared, in the pixels of the screen; returns its pen, width and height.
function surface(canvas) {
  const wide = canvas.clientWidth, ratio = devicePixelRatio || 1;
  const high = Number(canvas.getAttribute("data-high") || canvas.getAttribute("height"));
  canvas.setAttribute("data-high", high);
  canvas.style.height = high + "px";
  if (canvas.width !== Math.round(wide * ratio)) {
    canvas.width = Math.round(wide * ratio); canvas.height = Math.round(high * ratio);
  }
  const pen = canvas.getContext("2d");
  pen.setTransform(ratio, 0, 0, ratio, 0, 0); pen.clearRect(0, 0, wide, high);
  return [pen, wide, high];
}

// Where places of a box (lowest and highest of each dimension, the second upwards) are on a part of
// a canvas, turned about the vertical; null of a place that is not known.
function stage([low, top], left, wide, high, yaw) {
  const flat = (p) => [p[0] * Math.cos(yaw) + (p[2] || 0) * Math.sin(yaw), p[1]];
  const across = Math.abs((top[0] - low[0]) * Math.cos(yaw)), deep = Math.abs(((top[2] || 0) - (low[2] || 0)) * Math.sin(yaw));
  const reach = across + deep || 1, tall = top[1] - low[1] || 1;
  const scale = Math.min((wide - 40) / reach, (high - 40) / tall);
  const middle = flat(low.map((x, at) => (x + top[at]) / 2));
  return (place) => { if (!place) return null; const p = flat(place);
    return [left + wide / 2 + (p[0] - middle[0]) * scale, high / 2 - (p[1] - middle[1]) * scale]; };
}

// A body: bones between joints that are known, and a dot for each of these.
function drawBody(pen, at, bones, pose, colour, thick, marked = -1) {
  pen.strokeStyle = pen.fillStyle = css(colour); pen.lineWidth = thick; pen.lineCap = "round";
  for (const [a, b] of bones) {
    const from = at(pose[a]), to = at(pose[b]);
    if (from && to) { pen.beginPath(); pen.moveTo(...from); pen.lineTo(...to); pen.stroke(); }
  }
  pose.forEach((place, j) => { const p = at(place); if (!p) return;
    pen.beginPath(); pen.arc(p[0], p[1], j === marked ? thick * 2.2 : thick * 1.1, 0, 7); pen.fill(); });
}

// Calls back with radians while somebody drags over a canvas.
function turning(canvas, turned) {
  let from = null;
  canvas.addEventListener("pointerdown", (event) => { from = event.clientX; });
  window.addEventListener("pointermove", (event) => { if (from === null) return;
    turned((event.clientX - from) / 120); from = event.clientX; });
  window.addEventListener("pointerup", () => { from = null; });
}
