// One joint over time: the coordinate that moves most, before and after, with the expected error.
import { colour, short, surface } from "./colour.js";

const LEFT = 58, BELOW = 20, ABOVE = 8;
const FILLED = 3;

export class Chart {
  constructor(canvas, head, picked) {
    Object.assign(this, { canvas, head });
    canvas.addEventListener("click", (event) => {
      if (!this.motion) return;
      const share = (event.clientX - canvas.getBoundingClientRect().left - LEFT) / (canvas.clientWidth - LEFT);
      picked(share * this.motion.frames);
    });
  }

  // Returns the name of the coordinate.
  load(motion, person, joint) {
    Object.assign(this, { motion, person, joint });
    const columns = [0, 1, 2].map((d) => motion.column(motion.given.after, person, joint, 3, d));
    const spreads = columns.map(spread);
    this.axis = spreads.indexOf(Math.max(...spreads));
    this.after = columns[this.axis];
    this.before = motion.column(motion.given.before, person, joint, 3, this.axis);
    this.error = motion.column(motion.error, person, joint);
    this.draw();
    return "xyz"[motion.about.axes.order[this.axis]] ?? "";
  }

  draw() {
    const { canvas, motion } = this;
    if (!motion) return;
    const [pen, wide, high] = surface(canvas), known = sorted(this.after.length ? this.after : this.before);
    const low = known[0] ?? 0, top = known.at(-1) ?? 1, room = (top - low) * 0.15 || 1;
    this.x = (f) => LEFT + ((f + 0.5) / motion.frames) * (wide - LEFT);
    this.y = (v) => ABOVE + (1 - (v - low + room) / (top - low + 2 * room)) * (high - ABOVE - BELOW);
    pen.fillStyle = colour("--grey");
    pen.textAlign = "right";
    for (const v of [low, (low + top) / 2, top]) pen.fillText(short(v), LEFT - 6, this.y(v) + 4);
    pen.textAlign = "center";
    for (let k = 0; k <= 4; k++) {
      const f = Math.round(((motion.frames - 1) * k) / 4);
      pen.fillText(`${motion.times[f].toFixed(1)} s`, Math.min(Math.max(this.x(f), LEFT + 12), wide - 18), high - 5);
    }
    pen.save();
    pen.beginPath();
    pen.rect(LEFT, ABOVE, wide - LEFT, high - ABOVE - BELOW);
    pen.clip();
    pen.fillStyle = colour("--filled");
    this.each(wide, (f) => motion.state[motion.at(f, this.person, this.joint)] === FILLED,
      (x) => pen.fillRect(x, ABOVE, 1.5, high));
    pen.fillStyle = colour("--error");
    pen.globalAlpha = 0.22;
    this.each(wide, (f) => this.error[f] > 0,
      (x, f) => pen.fillRect(x, this.y(this.after[f] + this.error[f]), Math.max((wide - LEFT) / motion.frames, 1),
        Math.abs(this.y(0) - this.y(2 * this.error[f]))));
    pen.globalAlpha = 1;
    this.line(pen, this.before, "--before", 1);
    this.line(pen, this.after, "--after", 2);
    pen.restore();
  }

  // Frames that are so, one for each pixel at most.
  each(wide, is, act) {
    const step = Math.max(1, Math.floor(this.motion.frames / (2 * wide)));
    for (let f = 0; f < this.motion.frames; f += step) if (is(f)) act(this.x(f - 0.5), f);
  }

  line(pen, values, name, thick) {
    pen.strokeStyle = colour(name);
    pen.lineWidth = thick;
    pen.beginPath();
    let open = false;
    values.forEach((v, f) => {
      if (Number.isNaN(v)) open = false;
      else if (open) pen.lineTo(this.x(f), this.y(v));
      else { pen.moveTo(this.x(f), this.y(v)); open = true; }
    });
    pen.stroke();
  }

  point(frame) {
    if (!this.motion || !this.x) return;
    this.head.style.visibility = "visible";
    this.head.style.transform = `translateX(${this.x(frame)}px)`;
  }
}

const sorted = (values) => values.filter((v) => !Number.isNaN(v)).sort();

function spread(values) {
  const known = sorted(values);
  return known.length ? known.at(-1) - known[0] : 0;
}
