// The stage: bodies before and after, overlaid or side by side, drawn when something has changed.
import { Bodies, Halos } from "./body.js";
import { Camera } from "./camera.js";
import { colour } from "./colour.js";

export class Scene {
  static async on(canvas) {
    const three = await import("./vendor/three.js");
    return new Scene(three, canvas);
  }

  constructor(three, canvas) {
    this.three = three;
    this.canvas = canvas;
    this.renderer = new three.WebGLRenderer({ canvas, antialias: true });
    this.renderer.autoClear = false;
    this.world = new three.Scene();
    this.world.add(new three.HemisphereLight(0xffffff, 0x8090a0, 2.4));
    const sun = new three.DirectionalLight(0xffffff, 1.6);
    sun.position.set(2, 4, 3);
    this.world.add(sun);
    this.shown = { before: true, after: true, error: false, near: false };
    this.layout = "over";
    this.frame = 0;
    this.person = 0;
    this.joint = -1;
    this.renderer.setClearColor(colour("--paper"), 1);
    this.camera = new Camera(three, canvas, () => this.change());
    this.sharp = Math.min(devicePixelRatio || 1, 2);
    this.times = [];
    new ResizeObserver(() => this.fit()).observe(canvas);
    this.fit();
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.paint());
  }

  // Shows a motion; `places` are drawn instead of its own where they are given.
  load(motion, places = motion) {
    for (const one of this.parts || []) {
      this.world.remove(...one.group);
      one.dispose();
    }
    if (this.grid) this.world.remove(this.grid);
    const { three } = this;
    this.motion = motion;
    this.places = places;
    this.before = new Bodies(three, motion, { thick: 0.8 });
    this.after = new Bodies(three, motion, { thick: 1 });
    this.halos = new Halos(three, motion);
    this.near = new Bodies(three, motion, { thick: 0.6 });
    this.parts = [this.before, this.after, this.halos, this.near];
    for (const one of this.parts) this.world.add(...one.group);
    this.camera.is2D = motion.dims < 3;
    const { sides, size } = motion.frame;
    this.grid = new three.GridHelper(4, 16);
    this.grid.position.y = -sides[1] / size / 2;
    this.grid.visible = !this.camera.is2D;
    this.world.add(this.grid);
    this.person = Math.min(this.person, motion.people - 1);
    this.paint();
  }

  paint() {
    if (!this.motion) return;
    this.before.paint(colour("--before"), colour("--faint"), this.person);
    this.after.paint(colour("--after"), colour("--faint"), this.person);
    this.halos.paint(colour("--error"));
    this.near.paint(colour("--near"), colour("--near"), this.person);
    this.renderer.setClearColor(colour("--paper"), 1);
    this.grid.material.color.set(colour("--line"));
    this.grid.material.vertexColors = false;
    this.grid.material.needsUpdate = true;
    this.change();
  }

  change() {
    if (this.waiting) return;
    this.waiting = requestAnimationFrame(() => {
      this.waiting = 0;
      this.draw();
    });
  }

  // The size is asked for when it changes: asking while playing has the page laid out each time.
  fit() {
    this.size = [this.canvas.clientWidth, this.canvas.clientHeight];
    this.renderer.setPixelRatio(this.sharp);
    this.renderer.setSize(...this.size, false);
    this.change();
  }

  // Draws fewer pixels where pictures come more slowly than 40 a second one after the other.
  pace() {
    const now = performance.now(), { times } = this;
    if (times.length && now - times.at(-1) > 200) times.length = 0;
    times.push(now);
    if (times.length < 30) return;
    const each = (now - times[0]) / (times.length - 1);
    times.length = 0;
    if (each < 25 || this.sharp <= 0.6) return;
    this.sharp = Math.max(this.sharp * 0.75, 0.6);
    this.fit();
  }

  draw() {
    const { renderer, motion } = this, [wide, high] = this.size;
    if (!motion || !wide || !high) return;
    this.pace();
    const { before, after, frame, person, joint } = this;
    before.show(this.places.before, this.places.beforeFrame ?? frame, person, joint);
    after.show(this.places.after, frame, person, joint);
    if (this.shown.error) this.halos.show(frame);
    const near = this.shown.near && this.places.near;
    if (near) this.near.show(near, frame, person, -1);
    if (this.following) this.follow();
    renderer.setScissorTest(true);
    renderer.setScissor(0, 0, wide, high);
    renderer.clear();
    if (this.layout === "side") {
      const half = Math.floor(wide / 2);
      this.picture(0, half, high, { before: true });
      this.picture(half, wide - half, high, { after: true, error: this.shown.error, near });
    } else this.picture(0, wide, high, { ...this.shown, near });
  }

  picture(left, wide, high, shown) {
    for (const [name, part] of [["before", this.before], ["after", this.after], ["error", this.halos], ["near", this.near]])
      for (const mesh of part.group) mesh.visible = Boolean(shown[name]);
    this.renderer.setViewport(left, 0, wide, high);
    this.renderer.setScissor(left, 0, wide, high);
    this.renderer.render(this.world, this.camera.ready(wide, high));
  }

  // Looks at the middle of the chosen person.
  follow() {
    const { motion, frame, person } = this, sum = [0, 0, 0];
    let count = 0;
    for (let j = 0; j < motion.joints; j++) {
      const at = motion.at(frame, person, j) * 3;
      if (Number.isNaN(this.places.after[at])) continue;
      for (let d = 0; d < 3; d++) sum[d] += this.places.after[at + d];
      count++;
    }
    if (count) this.camera.target.set(...sum.map((one) => one / count));
  }
}
