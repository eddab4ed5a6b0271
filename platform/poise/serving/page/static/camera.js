// A camera around a point: turned by hand or keys, or put at one of some places.
const PLACES = { oblique: [0.6, 0.22], front: [0, 0], side: [Math.PI / 2, 0], top: [0, 1.55] };

export class Camera {
  constructor(three, canvas, moved) {
    this.lens = new three.PerspectiveCamera(30, 1, 0.05, 100);
    this.flat = new three.OrthographicCamera(-1, 1, 1, -1, -50, 50);
    this.target = new three.Vector3();
    this.moved = moved;
    this.is2D = false;
    this.put("oblique");
    this.far = 1;
    this.hold(canvas);
  }

  put(name) {
    [this.yaw, this.pitch] = PLACES[name];
    this.far = 1;
    this.moved();
  }

  turn(yaw, pitch = 0) {
    this.yaw += yaw;
    this.pitch = Math.min(Math.max(this.pitch + pitch, -1.55), 1.55);
    this.moved();
  }

  zoom(times) {
    this.far = Math.min(Math.max(this.far * times, 0.1), 8);
    this.moved();
  }

  // The three.js camera for a picture of this shape.
  ready(wide, high) {
    const shape = wide / high, room = 1.12 * this.far * Math.max(1, 1 / shape);
    if (this.is2D) {
      Object.assign(this.flat, { left: -room * shape, right: room * shape, top: room, bottom: -room });
      this.flat.position.copy(this.target);
      this.flat.position.z += 10;
      this.flat.lookAt(this.target);
      this.flat.updateProjectionMatrix();
      return this.flat;
    }
    const distance = room * 4.1;
    this.lens.aspect = shape;
    this.lens.position.set(
      this.target.x + distance * Math.cos(this.pitch) * Math.sin(this.yaw),
      this.target.y + distance * Math.sin(this.pitch),
      this.target.z + distance * Math.cos(this.pitch) * Math.cos(this.yaw),
    );
    this.lens.lookAt(this.target);
    this.lens.updateProjectionMatrix();
    return this.lens;
  }

  hold(canvas) {
    let from = null;
    canvas.addEventListener("pointerdown", (event) => {
      from = event;
      canvas.setPointerCapture(event.pointerId);
    });
    canvas.addEventListener("pointermove", (event) => {
      if (!from) return;
      this.turn((from.clientX - event.clientX) / 150, (event.clientY - from.clientY) / 150);
      from = event;
    });
    for (const end of ["pointerup", "pointercancel"]) canvas.addEventListener(end, () => { from = null; });
    canvas.addEventListener("wheel", (event) => {
      if (!event.ctrlKey && document.activeElement !== canvas) return; // the page scrolls
      event.preventDefault();
      this.zoom(Math.exp(event.deltaY / 600));
    }, { passive: false });
  }
}
