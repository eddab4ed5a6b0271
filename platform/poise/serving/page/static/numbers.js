// What was done, in figures: of a person, and of each joint.
import { short } from "./colour.js";

const make = (name, text, attributes = {}) => Object.assign(document.createElement(name), { textContent: text }, attributes);

// Boxes with the figures of a person.
export function figures(box, motion, person) {
  const one = reportOf(motion, person), { unit, scale } = motion;
  if (!one) return box.replaceChildren(make("p", "This person was left as it is."));
  const pair = ([a, b], times, what) =>
    a === null ? "–" : `${short(a * times)} → ${short(b * times)}${what && ` ${what}`}`;
  const sum = (key) => one.joints.reduce((all, joint) => all + joint[key], 0);
  const left = Object.values(one.gaps_left).reduce((a, b) => a + b, 0);
  const found = [
    [pair(one.acceleration, scale, ""), `acceleration, ${unit}/frame²`],
    [pair(one.jitter, scale, ""), `above 6 Hz, ${unit}`],
    [one.moved === null ? "–" : short(one.moved * scale, unit), "moved, mean of joints"],
    [short(one.range_kept, "%"), "of the range of motion kept"],
    [short(one.peak_kept, "%"), "of the peak speed kept"],
    [`${one.gaps_filled} / ${left}`, "gaps filled / left"],
    [String(sum("unsure") + sum("jumped")), "places not believed"],
    [String(one.swaps.length), "times sides put right"],
  ];
  if (one.bone_spread[0] !== null) found.push([pair(one.bone_spread, 1, "%"), "bones' lengths vary by"]);
  if (one.feet) found.push([pair(one.feet.slice(2), scale, ""), `slide of feet that stand, ${unit}/s`]);
  box.replaceChildren(...found.map(([figure, what]) => {
    const cell = document.createElement("div");
    cell.append(make("b", figure), make("span", what));
    return cell;
  }));
}

export function notes(box, motion) {
  box.replaceChildren(...motion.about.report.notes.map((text) => make("p", text)));
}

// A row for each joint; names choose a joint, the last column goes to its most corrected frame.
export function rows(body, motion, person, chosen, picked) {
  const one = reportOf(motion, person);
  const length = (value) => (value === null ? "–" : short(value * motion.scale, motion.unit));
  body.replaceChildren(...motion.about.joints.map((name, joint) => {
    const row = document.createElement("tr"), told = one && one.joints[joint];
    row.classList.toggle("chosen", joint === chosen);
    const head = make("th", "", { scope: "row" });
    const choose = make("button", name, { type: "button" });
    choose.setAttribute("aria-pressed", String(joint === chosen));
    choose.addEventListener("click", () => picked(joint, null));
    head.append(choose);
    row.append(head);
    const cells = told
      ? [length(told.moved), short(told.range_kept, "%"), short(told.peak_kept, "%"), told.filled, told.left,
        told.unsure + told.jumped, length(told.error)]
      : Array(7).fill("–");
    row.append(...cells.map((text) => make("td", String(text))));
    const last = document.createElement("td"), [worst] = motion.worst(motion.column(motion.correction, person, joint), 1);
    if (worst) {
      const go = make("button", `frame ${motion.numbers[worst[0]]}`, { type: "button" });
      go.setAttribute("aria-label", `${name}: go to frame ${motion.numbers[worst[0]]}, corrected most`);
      go.addEventListener("click", () => picked(joint, worst[0]));
      last.append(go);
    } else last.textContent = "–";
    row.append(last);
    return row;
  }));
}

// Buttons to the frames that are worst by a measure; of gaps, where most joints are not seen.
export function worst(box, motion, person, measure, picked) {
  let values = measure === "state" ? new Float32Array(motion.frames) : motion.mean(measure, person);
  if (measure === "state")
    for (let f = 0; f < motion.frames; f++)
      for (let j = 0; j < motion.joints; j++) values[f] += motion.state[motion.at(f, person, j)] > 0;
  const found = motion.worst(values);
  box.replaceChildren(...found.map(([frame, value]) => {
    const said = measure === "state" ? `${value} joints` : short(value * motion.scale, motion.unit);
    const go = make("button", `frame ${motion.numbers[frame]} · ${said}`, { type: "button" });
    go.addEventListener("click", () => picked(frame));
    return go;
  }));
  if (!found.length) box.textContent = "none";
  return found.map(([frame]) => frame);
}

const reportOf = (motion, person) =>
  motion.about.report.people.find((one) => one.person === motion.about.people[person] && one.frames);
