// Joints over time: a row for each joint, a measure as a colour. A click goes there.
import { colour, short, surface } from "./colour.js";

const LEFT = 104, ROW = 12;
const STATES = ["", "--doubt", "--doubt", "--filled-strong", "--missing"];
const WORDS = ["", "not sure", "jumped", "filled", "missing"];
const STRONG = { "--filled-strong": "#e8923c" };

export class Timeline {
  constructor(canvas, head, legend, picked) {
    Object.assign(this, { canvas, head, legend });
    canvas.addEventListener("click", (event) => {
      if (!this.motion) return;
      const { left, top } = canvas.getBoundingClientRect();
      const share = (event.clientX - left - LEFT) / (canvas.clientWidth - LEFT);
      const joint = Math.floor((event.clientY - top) / ROW) - 1;
      picked(share * this.motion.frames, joint < 0 ? null : Math.min(joint, this.motion.joints - 1));
    });
  }

  load(motion, person, measure, joint) {
    Object.assign(this, { motion, person, measure, joint });
    this.draw();
  }

  draw() {
    const { canvas, motion, measure } = this;
    if (!motion) return;
    const high = ROW * (motion.joints + 1);
    canvas.style.height = `${high}px`;
    const [pen, wide] = surface(canvas, high);
    this.wide = wide;
    this.head.style.height = `${high}px`;
    const columns = Math.max(Math.floor(wide - LEFT), 1), rows = [this.row(null, columns)];
    for (let j = 0; j < motion.joints; j++) rows.push(this.row(j, columns));
    const most = measure === "state" ? 1 : top(rows);
    pen.textBaseline = "middle";
    rows.forEach((row, number) => {
      const y = number * ROW, joint = number - 1;
      pen.fillStyle = colour(joint === this.joint ? "--ink" : "--grey");
      pen.fillText(joint < 0 ? "all joints" : motion.about.joints[joint], 4, y + ROW / 2, LEFT - 8);
      this.paint(pen, row, y, most);
    });
    this.explain(most);
  }

  // The largest value of a row in each column of pixels; of states, the worst.
  row(joint, columns) {
    const { motion, person, measure } = this, found = new Float32Array(columns).fill(NaN);
    const values = joint === null && measure !== "state" ? motion.mean(measure, person) : null;
    for (let f = 0; f < motion.frames; f++) {
      const first = Math.floor((f / motion.frames) * columns);
      const end = Math.max(Math.floor(((f + 1) / motion.frames) * columns), first + 1);
      let value;
      if (values) value = values[f];
      else if (joint === null) {
        value = 0;
        for (let j = 0; j < motion.joints; j++) value = Math.max(value, motion.state[motion.at(f, person, j)]);
      } else value = motion[measure][motion.at(f, person, joint)];
      for (let x = first; x < end; x++) if (!(found[x] >= value)) found[x] = value;
    }
    return found;
  }

  paint(pen, row, y, most) {
    const states = STATES.map((name) => STRONG[name] || (name && colour(name)));
    pen.fillStyle = colour(this.measure === "error" ? "--error" : "--after");
    row.forEach((value, x) => {
      if (this.measure === "state") {
        if (!states[value]) return;
        pen.fillStyle = states[value];
      } else {
        if (!(value > 0)) return;
        pen.globalAlpha = Math.min(0.06 + (0.94 * value) / most, 1);
      }
      pen.fillRect(LEFT + x, y + 1, 1, ROW - 2);
    });
    pen.globalAlpha = 1;
  }

  explain(most) {
    const { motion, legend } = this;
    legend.replaceChildren();
    const add = (tint, text) => {
      const mark = document.createElement("i");
      mark.style.background = tint;
      legend.append(mark, text);
    };
    if (this.measure === "state") {
      for (const at of [1, 3, 4]) add(STRONG[STATES[at]] || colour(STATES[at]), at === 1 ? "not believed" : WORDS[at]);
    } else if (most > 0) {
      add(colour(this.measure === "error" ? "--error" : "--after"), `${short(most * motion.scale, motion.unit)} and more`);
    } else legend.append("the refiner says nothing of it");
  }

  // Puts the line where a frame is.
  point(frame) {
    if (!this.motion) return;
    const x = LEFT + ((frame + 0.5) / this.motion.frames) * (this.wide - LEFT);
    this.head.style.visibility = "visible";
    this.head.style.transform = `translateX(${x}px)`;
  }
}

// What only one value in fifty of the joints exceeds.
function top(rows) {
  const known = rows.flatMap((row) => [...row.filter((value) => value > 0)]).sort((a, b) => a - b);
  return known.length ? known[Math.floor(known.length * 0.98)] : 0;
}
