// A colour of the page, by its name in the style.
export const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

// A canvas, cleared, in the pixels of the screen: its pen, width and height.
export function surface(canvas, high = canvas.clientHeight) {
  const wide = canvas.clientWidth, ratio = devicePixelRatio || 1;
  canvas.width = Math.round(wide * ratio);
  canvas.height = Math.round(high * ratio);
  const pen = canvas.getContext("2d");
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  pen.font = "11px system-ui, sans-serif";
  return [pen, wide, high];
}

// A number in three digits, with its unit.
export const short = (value, unit = "") =>
  value === null || value === undefined || Number.isNaN(value) ? "–" : `${Number(value.toPrecision(3))}${unit && ` ${unit}`}`;
