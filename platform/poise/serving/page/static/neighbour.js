// The motion that was retrieved for a person, where the model that is served retrieves.
import { retrieved } from "./service.js";

const METRES = { m: 1, cm: 0.01, mm: 0.001 };

// The joints of a model among those of a motion; null where it lacks one, or is no match.
function placesOf(motion, model) {
  const { joints, unit } = motion.about;
  if (!model || model.retrieval !== "ready" || motion.dims !== model.dims || !METRES[unit] || model.unit !== "m") return null;
  const places = model.joint_names.map((name) => joints.indexOf(name));
  return places.includes(-1) ? null : places;
}

export const retrieves = (motion, model) => placesOf(motion, model) !== null;

// Places as the stage draws them, nothing for all other people and joints; null where none is found.
export async function neighbour(motion, model, person) {
  const places = placesOf(motion, model), scale = METRES[motion.about.unit], { dims } = motion, poses = [];
  const first = (frame, joint) => motion.at(frame, person, joint) * dims;
  for (let f = 0; f < motion.frames; f++)
    poses.push(places.map((joint) => {
      const place = [...motion.raw.subarray(first(f, joint), first(f, joint) + dims)];
      return place.some(Number.isNaN) ? null : place.map((one) => one * scale);
    }));
  const found = await retrieved(poses);
  if (!found) return null;
  const values = new Float64Array(motion.raw.length).fill(NaN);
  found.forEach((pose, f) => pose.forEach((place, at) =>
    values.set(place.map((one) => one / scale), first(f, places[at]))));
  return motion.fitted(motion.upright(values));
}
