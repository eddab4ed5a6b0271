// A motion before and after, as it is drawn and measured. Shapes: F frames, P people, J joints.
const FAR_OFF = 0.005;

export class Motion {
  constructor({ before, after, error, state, times, frames, about }) {
    Object.assign(this, { about, times: times.values, numbers: frames.values });
    [this.frames, this.people, this.joints, this.dims] = before.shape;
    this.raw = before.values;
    this.error = error.values;
    this.state = state.values;
    this.unit = about.unit === "m" || about.unit === "cm" ? "mm" : about.unit || "";
    this.scale = { m: 1000, cm: 10 }[about.unit] || 1;
    this.correction = distances(before.values, after.values, this.dims);
    this.given = { before: this.upright(before.values), after: this.upright(after.values) };
    this.frame = box(this.given.after, this.given.before, this.people * this.joints * 3);
    this.before = this.fitted(this.given.before);
    this.after = this.fitted(this.given.after);
    this.thick = Math.max(this.boneLength() * 0.07, 0.008);
  }

  // Places (x, y upwards, z towards the viewer), three numbers each whatever came.
  upright(values) {
    const { order, signs } = this.about.axes, dims = this.dims;
    const found = new Float32Array((values.length / dims) * 3);
    for (let at = 0, to = 0; at < values.length; at += dims, to += 3)
      for (let d = 0; d < order.length; d++) found[to + d] = values[at + order[d]] * signs[d];
    if (dims === 1) for (let to = 0; to < found.length; to += 3) found[to] = 0;
    return found;
  }

  // The same where the camera looks: two units high or wide, around the middle.
  fitted(places) {
    const { middle, size } = this.frame, found = new Float32Array(places.length);
    for (let at = 0; at < places.length; at++) found[at] = (places[at] - middle[at % 3]) / size;
    return found;
  }

  at(frame, person, joint) {
    return (frame * this.people + person) * this.joints + joint;
  }

  // Length of bones in the middle of the motion, as drawn.
  boneLength() {
    const found = [], step = Math.max(1, Math.floor(this.frames / 50));
    for (let f = 0; f < this.frames; f += step)
      for (let p = 0; p < this.people; p++)
        for (const [a, b] of this.about.bones) {
          const [i, j] = [this.at(f, p, a) * 3, this.at(f, p, b) * 3];
          const length = Math.hypot(...[0, 1, 2].map((d) => this.after[i + d] - this.after[j + d]));
          if (length) found.push(length);
        }
    found.sort((a, b) => a - b);
    return found.length ? found[found.length >> 1] : 0.15;
  }

  // Mean of a measure over the joints of a person, frame by frame; NaN where none is known.
  mean(measure, person) {
    const values = this[measure], found = new Float32Array(this.frames).fill(NaN);
    for (let f = 0; f < this.frames; f++) {
      let sum = 0, count = 0;
      for (let j = 0; j < this.joints; j++) {
        const value = values[this.at(f, person, j)];
        if (!Number.isNaN(value)) { sum += value; count++; }
      }
      if (count) found[f] = sum / count;
    }
    return found;
  }

  // Frames in which a measure is largest, half a second apart: [frame, value].
  worst(values, most = 5) {
    const apart = Math.max(Math.round((this.about.fps || 30) / 2), 1), found = [];
    if (most === 1) {
      const at = values.reduce((best, value, f) => (value > (values[best] || 0) ? f : best), 0);
      return values[at] > 0 ? [[at, values[at]]] : [];
    }
    const order = [...values.keys()].filter((f) => values[f] > 0).sort((a, b) => values[b] - values[a]);
    for (const f of order) {
      if (found.every(([other]) => Math.abs(other - f) >= apart)) found.push([f, values[f]]);
      if (found.length === most) break;
    }
    return found;
  }

  // One joint of a person, a measure or a coordinate, frame by frame.
  column(values, person, joint, width = 1, place = 0) {
    const found = new Float32Array(this.frames);
    for (let f = 0; f < this.frames; f++) found[f] = values[this.at(f, person, joint) * width + place];
    return found;
  }
}

function distances(before, after, dims) {
  const found = new Float32Array(before.length / dims);
  for (let at = 0, to = 0; to < found.length; at += dims, to++) {
    let sum = 0;
    for (let d = 0; d < dims; d++) sum += (after[at + d] - before[at + d]) ** 2;
    found[to] = Math.sqrt(sum);
  }
  return found;
}

// Where bodies are, but for a few frames in which something is far off: the middle, the sides, and
// half of the longest.
function box(after, before, wide) {
  const motion = after.some((one) => !Number.isNaN(one)) ? after : before;
  const frames = motion.length / wide, step = Math.max(1, Math.floor(frames / 2000));
  const ends = [0, 1, 2].map((d) => {
    const lows = [], highs = [];
    for (let f = 0; f < frames; f += step) {
      let low = Infinity, high = -Infinity;
      for (let at = f * wide + d; at < (f + 1) * wide; at += 3) {
        if (motion[at] < low) low = motion[at];
        if (motion[at] > high) high = motion[at];
      }
      if (low <= high) { lows.push(low); highs.push(high); }
    }
    return [share(lows, FAR_OFF) || 0, share(highs, 1 - FAR_OFF) || 0];
  });
  const sides = ends.map(([low, high]) => high - low);
  return { middle: ends.map(([low, high]) => (low + high) / 2), size: Math.max(...sides) / 2 || 1, sides };
}

const share = (values, part) => values.sort((a, b) => a - b)[Math.round((values.length - 1) * part)];
