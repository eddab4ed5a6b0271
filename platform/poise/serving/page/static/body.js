// Bodies of one motion as balls and sticks, all people at once.
const HIDDEN = 0;

export class Bodies {
  constructor(three, motion, { opacity = 1, thick = 1 }) {
    const { people, joints, about } = motion;
    this.three = three;
    this.motion = motion;
    this.thick = motion.thick * thick;
    const glass = { transparent: opacity < 1, opacity, depthWrite: opacity === 1 };
    const ball = new three.SphereGeometry(1, 14, 10), stick = new three.CylinderGeometry(1, 1, 1, 8);
    stick.translate(0, 0.5, 0);
    this.balls = new three.InstancedMesh(ball, new three.MeshLambertMaterial(glass), people * joints);
    this.sticks = new three.InstancedMesh(
      stick, new three.MeshLambertMaterial(glass), Math.max(people * about.bones.length, 1));
    this.sticks.count = people * about.bones.length; // markers have none
    this.group = [this.balls, this.sticks];
    for (const mesh of this.group) mesh.frustumCulled = false;
    this.scratch = [new three.Matrix4(), new three.Vector3(), new three.Vector3(), new three.Quaternion()];
    this.up = new three.Vector3(0, 1, 0);
  }

  // Colours: of a chosen person and of the others.
  paint(colour, pale, chosen) {
    const { people, joints, about } = this.motion;
    this.colour = new this.three.Color(colour);
    const other = new this.three.Color(pale);
    for (let p = 0; p < people; p++) {
      const own = p === chosen ? this.colour : other;
      for (let j = 0; j < joints; j++) this.balls.setColorAt(p * joints + j, own);
      for (let b = 0; b < about.bones.length; b++) this.sticks.setColorAt(p * about.bones.length + b, own);
    }
    for (const mesh of this.group) if (mesh.instanceColor) mesh.instanceColor.needsUpdate = true;
  }

  // Poses of a frame; marked is a joint of the chosen person that is drawn larger.
  show(places, frame, chosen, marked) {
    const { people, joints, about } = this.motion, [matrix, from, to, turn] = this.scratch;
    const first = frame * people * joints;
    for (let p = 0; p < people; p++) {
      for (let j = 0; j < joints; j++) {
        const at = (first + p * joints + j) * 3;
        const known = !Number.isNaN(places[at]), large = p === chosen && j === marked ? 2.2 : 1.35;
        const size = known ? this.thick * large : HIDDEN;
        matrix.makeScale(size, size, size);
        if (known) matrix.setPosition(places[at], places[at + 1], places[at + 2]);
        this.balls.setMatrixAt(p * joints + j, matrix);
      }
      about.bones.forEach(([a, b], number) => {
        from.fromArray(places, (first + p * joints + a) * 3);
        to.fromArray(places, (first + p * joints + b) * 3).sub(from);
        const length = to.length();
        if (length > 0) {
          turn.setFromUnitVectors(this.up, to.divideScalar(length));
          matrix.compose(from, turn, to.set(this.thick * 0.7, length, this.thick * 0.7));
        } else matrix.makeScale(HIDDEN, HIDDEN, HIDDEN);
        this.sticks.setMatrixAt(p * about.bones.length + number, matrix);
      });
    }
    for (const mesh of this.group) mesh.instanceMatrix.needsUpdate = true;
  }

  dispose() {
    for (const mesh of this.group) {
      mesh.geometry.dispose();
      mesh.material.dispose();
      mesh.dispose();
    }
  }
}

// How far off refined joints are expected to be, as balls of that size.
export class Halos {
  constructor(three, motion) {
    this.motion = motion;
    this.matrix = new three.Matrix4();
    this.material = new three.MeshBasicMaterial({ transparent: true, opacity: 0.22, depthWrite: false });
    this.balls = new three.InstancedMesh(
      new three.SphereGeometry(1, 14, 10), this.material, motion.people * motion.joints);
    this.balls.frustumCulled = false;
    this.group = [this.balls];
  }

  paint(colour) {
    this.material.color.set(colour);
  }

  show(frame) {
    const { motion, matrix } = this, many = motion.people * motion.joints;
    for (let at = 0; at < many; at++) {
      const place = (frame * many + at) * 3, size = motion.error[frame * many + at] / motion.frame.size;
      const known = size > 0 && !Number.isNaN(motion.after[place]);
      matrix.makeScale(known ? size : 0, known ? size : 0, known ? size : 0);
      if (known) matrix.setPosition(...motion.after.subarray(place, place + 3));
      this.balls.setMatrixAt(at, matrix);
    }
    this.balls.instanceMatrix.needsUpdate = true;
  }

  dispose() {
    this.balls.geometry.dispose();
    this.material.dispose();
    this.balls.dispose();
  }
}
