// The page: a file comes, is refined by the service as the form says, and is looked at.
import { short } from "./colour.js";
import { dropping } from "./dropped.js";
import { keys, tabs } from "./keys.js";
import { Live } from "./live.js";
import { Motion } from "./motion.js";
import { Options } from "./options.js";
import * as service from "./service.js";
import { keep, token } from "./token.js";
import { View } from "./view.js";

const el = (id) => document.getElementById(id);
const say = (text, busy = false) => {
  el("status").textContent = text;
  el("status").classList.toggle("busy", busy);
};
const complain = (error) => {
  say("");
  el("alert").textContent = error.message;
  if (error.status === 401) el("token-box").open = true;
};

const view = new View(say);
const options = new Options(el("options"), () => refine(true));
let files = null, going = null, live = null;

async function refine(anew) {
  if (!files) return;
  going?.abort();
  going = new AbortController();
  const { signal } = going, began = performance.now();
  el("alert").textContent = "";
  say(`Refining ${files.length > 1 ? `${files.length} files` : files[0].name} …`, true);
  try {
    const motion = new Motion(await service.refined(files, options.query, signal));
    if (signal.aborted) return;
    stopLive();
    await view.load(motion, anew);
    offerFormats(motion);
    const { about } = motion, seconds = (performance.now() - began) / 1000;
    const people = about.people.length === 1 ? "1 person" : `${about.people.length} people`;
    say(`${about.frames} frames, ${people}, ${about.joints.length} joints in ${about.dims}D ` +
      `(${about.format}), refined by ${about.report.refiner} in ${short(seconds, "s")}.`);
  } catch (error) {
    if (error.name !== "AbortError") complain(error);
  }
}

function take(found) {
  files = found;
  el("file-name").textContent = found.length > 1 ? `${found.length} files` : found[0].name;
  refine(false);
}

function offerFormats(motion) {
  const list = el("download-format"), kept = list.value, { written } = motion.about;
  list.replaceChildren(...written.map(({ name, ending }) => new Option(`${name} (${ending === "/" ? "folder" : ending})`, name)));
  if (written.some(({ name }) => name === kept)) list.value = kept;
  list.disabled = el("download").disabled = !written.length;
  el("live-start").disabled = motion.dims < 2;
  tellLost();
}

function tellLost() {
  const chosen = view.motion?.about.written.find(({ name }) => name === el("download-format").value);
  el("lost").textContent = chosen?.lost.length ? `Not in it: ${chosen.lost.join("; ")}.` : "";
}

async function download() {
  if (!files || el("download").disabled) return;
  try {
    const [blob, name] = await service.written(files, options.query, el("download-format").value);
    const link = Object.assign(document.createElement("a"), { href: URL.createObjectURL(blob), download: name });
    link.click();
    URL.revokeObjectURL(link.href);
    say(`Downloaded ${name}.`);
  } catch (error) {
    complain(error);
  }
}

function startLive() {
  if (live) return stopLive();
  view.player.pause();
  const { motion } = view;
  live = new Live(motion, view.person, Number(el("live-lag").value), tellLive, (why) => {
    if (why) complain(new Error(why));
    else say(live ? "The stream has ended." : "");
    live = null;
    el("live-start").textContent = "Start";
  });
  el("alert").textContent = "";
  el("live-start").textContent = "Stop";
  view.live = live;
  view.scene?.load(motion, live.places);
}

function tellLive() {
  if (!live) return;
  el("live-frames").textContent = `${live.sent.length} / ${live.out}`;
  el("live-wait").textContent = short((1000 * live.lag) / live.fps, "ms");
  el("live-median").textContent = short(live.within(0.5), "ms");
  el("live-most").textContent = short(live.within(0.95), "ms");
  el("live-lost").textContent = String(live.lost);
  if (!view.scene) return;
  view.scene.frame = live.frame;
  view.scene.change();
}

// Back to the file.
function stopLive() {
  const running = live;
  live = null;
  running?.stop();
  if (view.live && view.scene) {
    view.scene.load(view.motion);
    view.live = null;
    view.follow();
  }
}

const next = (id, by = 1) => {
  const list = el(id);
  if (list.disabled) return;
  list.selectedIndex = (list.selectedIndex + by + list.length) % list.length;
  list.dispatchEvent(new Event("input"));
};
const camera = (place) => () => { el("camera").selectedIndex = place; el("camera").dispatchEvent(new Event("input")); };
const faster = (by) => () => {
  const place = el("speed").selectedIndex + by;
  if (place >= 0 && place < el("speed").length) next("speed", by);
};
const flip = (id) => () => el(id).click();
const { player } = view;

keys({
  " ": () => player.toggle(), ArrowLeft: () => player.step(-1), ArrowRight: () => player.step(1),
  "Shift+ArrowLeft": () => player.step(-10), "Shift+ArrowRight": () => player.step(10),
  Home: () => player.step(-Infinity), End: () => player.step(Infinity),
  w: () => view.nextWorst(), "[": faster(-1), "]": faster(1), l: flip("loop"), v: () => next("layout"),
  1: camera(0), 2: camera(1), 3: camera(2), 4: camera(3),
  a: () => view.scene?.camera.turn(-0.2), d: () => view.scene?.camera.turn(0.2),
  "+": () => view.scene?.camera.zoom(0.9), "=": () => view.scene?.camera.zoom(0.9), "-": () => view.scene?.camera.zoom(1.1),
  i: flip("show-before"), r: flip("show-after"), e: flip("show-error"),
  n: () => el("show-near").closest("label").hidden || el("show-near").click(),
  j: () => view.motion && view.pick(view.joint + 1), k: () => view.motion && view.pick(view.joint - 1),
  p: () => next("person"), s: download, "?": () => el("help").showModal(),
}, () => el("keys-on").checked);

tabs(document.querySelector("[role=tablist]"), (id) => { if (id === "tab-file") stopLive(); });
dropping(el("dropping"), take);
el("file").addEventListener("change", () => { if (el("file").files.length) take([...el("file").files]); });
el("help-open").addEventListener("click", () => el("help").showModal());
el("download-form").addEventListener("submit", (event) => { event.preventDefault(); download(); });
el("download-format").addEventListener("input", tellLost);
el("live-start").addEventListener("click", startLive);
el("live-lag").addEventListener("input", () => { el("live-lag-shown").textContent = el("live-lag").value; });
el("token").value = token();
el("token-form").addEventListener("submit", (event) => {
  event.preventDefault();
  keep(el("token").value.trim());
  el("token-box").open = false;
  begin();
});

async function begin() {
  try {
    const found = await service.abilities();
    options.offer(found);
    view.served = await service.served();
    el("live-lag").max = found.models.find(({ name }) => name === found.served).longest_lag ?? 31;
    el("alert").textContent = "";
    el("samples").replaceChildren(...found.samples.map(({ name, about }) => {
      const button = Object.assign(document.createElement("button"), { type: "button", textContent: `Try ${name}`, title: about });
      button.addEventListener("click", async () => {
        try {
          take([await service.sample(name)]);
        } catch (error) {
          complain(error);
        }
      });
      return button;
    }));
  } catch (error) {
    complain(error);
  }
}

begin();
