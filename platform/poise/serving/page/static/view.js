// What is looked at: frame, person, joint, measure; and all that shows them.
import { Chart } from "./chart.js";
import { neighbour, retrieves } from "./neighbour.js";
import * as numbers from "./numbers.js";
import { Player } from "./player.js";
import { Scene } from "./scene.js";
import { Timeline } from "./timeline.js";

const el = (id) => document.getElementById(id);

export class View {
  constructor(say) {
    this.say = say;
    this.person = 0;
    this.joint = 0;
    this.player = new Player(() => this.follow());
    const go = (frame) => { this.player.pause(); this.player.go(frame); };
    this.go = go;
    this.timeline = new Timeline(el("timeline"), el("timeline-head"), el("legend"), (frame, joint) => {
      go(frame);
      if (joint !== null) this.pick(joint);
    });
    this.chart = new Chart(el("chart"), el("chart-head"), go);
    this.stage = this.open();
    this.listen();
  }

  // The stage; without WebGL everything else is there all the same.
  async open() {
    try {
      this.scene = await Scene.on(el("scene"));
    } catch (error) {
      el("empty").textContent = "This browser draws no skeletons (WebGL is off). All else works.";
      el("empty").hidden = false;
      console.info(error.message);
    }
  }

  listen() {
    const changed = (id, act) => el(id).addEventListener("input", act);
    el("play").addEventListener("click", () => this.player.toggle());
    el("back").addEventListener("click", () => this.player.step(-1));
    el("forth").addEventListener("click", () => this.player.step(1));
    changed("at", () => this.go(Number(el("at").value)));
    changed("speed", () => { this.player.speed = Number(el("speed").value); });
    changed("loop", () => { this.player.loop = el("loop").checked; });
    changed("measure", () => this.measured());
    changed("person", () => this.choose(Number(el("person").value)));
    for (const id of ["layout", "show-before", "show-after", "show-error", "follow"]) changed(id, () => this.arrange());
    changed("show-near", () => this.retrieve());
    changed("camera", () => this.scene?.camera.put(el("camera").value));
    let wide = innerWidth;
    addEventListener("resize", () => { if (innerWidth !== wide) { wide = innerWidth; this.redraw(); } });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.redraw());
  }

  redraw() {
    this.timeline.draw();
    this.chart.draw();
    this.point();
  }

  arrange() {
    const { scene } = this, side = el("layout").value === "side";
    el("left-label").hidden = el("right-label").hidden = !side || !this.motion;
    if (!scene) return;
    scene.layout = el("layout").value;
    for (const name of ["before", "after", "error", "near"]) scene.shown[name] = el(`show-${name}`).checked;
    scene.following = el("follow").checked;
    if (!scene.following) scene.camera.target.set(0, 0, 0);
    scene.change();
  }

  // Shows a motion; where it is the one before, refined anew, the view stays as it is.
  async load(motion, anew) {
    await this.stage;
    this.motion = motion;
    const { about } = motion;
    el("empty").hidden = Boolean(this.scene);
    el("at").max = motion.frames - 1;
    el("person").replaceChildren(...about.people.map((name, place) => new Option(name, place)));
    el("person").disabled = about.people.length < 2;
    el("show-near").closest("label").hidden = !retrieves(motion, this.served);
    if (!retrieves(motion, this.served)) el("show-near").checked = false;
    el("show-error").disabled = !motion.error.some((one) => one > 0);
    if (!anew) {
      const order = about.people.map((name) => about.report.people.find((one) => one.person === name)?.frames ?? 0);
      this.person = order.indexOf(Math.max(...order));
      this.joint = most(motion, this.person);
      this.player.frame = 0;
    }
    this.person = Math.min(this.person, motion.people - 1);
    if (this.scene) {
      this.scene.person = this.person;
      this.scene.load(motion);
    }
    el("camera").disabled = motion.dims < 3;
    this.arrange();
    this.player.load(motion);
    numbers.notes(el("notes"), motion);
    this.choose(this.person);
  }

  // Shows what was retrieved for the chosen person; asks for it once.
  async retrieve() {
    const { motion, person } = this;
    if (el("show-near").checked && motion && motion.nearOf !== person) {
      motion.nearOf = person;
      motion.near = null;
      try {
        motion.near = await neighbour(motion, this.served, person);
        if (!motion.near) this.say("Nothing was retrieved: the database does not answer.");
      } catch (error) {
        this.say(error.message);
      }
    }
    this.arrange();
  }

  choose(person) {
    this.person = person;
    el("person").value = person;
    if (this.scene) {
      this.scene.person = person;
      this.scene.paint();
    }
    numbers.figures(el("figures"), this.motion, person);
    this.pick(this.joint);
    this.measured();
    this.retrieve();
  }

  pick(joint) {
    const { motion } = this;
    this.joint = (joint + motion.joints) % motion.joints;
    const axis = this.chart.load(motion, this.person, this.joint), { about } = motion;
    el("joint-title").textContent = `${about.joints[this.joint]}, ${axis} in ${about.unit || "the file's unit"}`;
    numbers.rows(el("rows"), motion, this.person, this.joint, (chosen, frame) => {
      const again = document.activeElement?.closest("td") ? "td:last-child button" : "th button";
      if (frame !== null) this.go(frame);
      this.pick(chosen);
      el("rows").children[chosen].querySelector(again)?.focus({ preventScroll: true });
    });
    if (this.scene) this.scene.joint = this.joint;
    this.timeline.load(motion, this.person, el("measure").value, this.joint);
    this.follow();
  }

  measured() {
    const measure = el("measure").value;
    this.timeline.load(this.motion, this.person, measure, this.joint);
    this.places = numbers.worst(el("worst"), this.motion, this.person, measure, this.go);
    this.point();
  }

  nextWorst() {
    if (!this.places?.length) return;
    const at = this.places.indexOf(this.player.frame);
    this.go(this.places[(at + 1) % this.places.length]);
    this.say(`frame ${this.motion.numbers[this.player.frame]}, number ${((at + 1) % this.places.length) + 1} of the worst`);
  }

  // Shows the frame that it is.
  follow() {
    const { motion, player } = this;
    el("play").textContent = player.playing ? "Pause" : "Play";
    if (!motion) return;
    const said = `frame ${motion.numbers[player.frame]}, ${motion.times[player.frame].toFixed(2)} s`;
    el("at").value = player.frame;
    el("now").textContent = said;
    if (!player.playing) {
      el("at").setAttribute("aria-valuetext", said);
      el("scene").setAttribute("aria-label", `skeletons, people: ${motion.people}, ${said}`);
    }
    if (this.scene && !this.live) {
      this.scene.frame = player.frame;
      this.scene.change();
    }
    this.point();
  }

  point() {
    this.timeline.point(this.player.frame);
    this.chart.point(this.player.frame);
  }
}

// The joint that was corrected most.
function most(motion, person) {
  const told = motion.about.report.people.find((one) => one.person === motion.about.people[person]);
  const moved = told ? told.joints.map((one) => one.moved ?? 0) : [0];
  return moved.indexOf(Math.max(...moved));
}
