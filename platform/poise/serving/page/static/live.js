// The motion through a stream of the service, frame by frame at its own pace.
import { protocols } from "./token.js";

const HEAD = 8, TIMES = 1;
const MOST_FPS = 240;

export class Live {
  // `told` hears of every change; `ended` why it is over.
  constructor(motion, person, lag, told, ended) {
    Object.assign(this, { motion, person, told, ended });
    this.fps = Math.min(motion.about.fps || 30, MOST_FPS);
    this.places = {
      before: motion.before,
      after: new Float32Array(motion.after.length).fill(NaN),
      beforeFrame: 0,
    };
    this.sent = [];
    this.late = [];
    this.out = 0;
    this.lost = 0;
    const url = new URL("v1/stream", location.href);
    url.protocol = url.protocol.replace("http", "ws");
    this.socket = new WebSocket(url, protocols());
    this.socket.binaryType = "arraybuffer";
    const { about } = motion;
    this.socket.onopen = () => this.say({
      type: "open", fps: this.fps, lag, format: "binary", joints: about.joints, dims: motion.dims,
      unit: about.unit || (motion.dims === 3 ? "m" : "px"),
    });
    this.socket.onmessage = ({ data }) => (typeof data === "string" ? this.hear(JSON.parse(data)) : this.take(data));
    this.socket.onclose = ({ reason }) => this.stop(this.why || reason || (this.over ? "" : "The connection was lost."));
  }

  say(message) {
    this.socket.send(JSON.stringify(message));
  }

  hear(message) {
    if (message.type === "opened") {
      this.lag = message.lag;
      this.began = performance.now();
      this.timer = setInterval(() => this.send(), 1000 / Math.min(this.fps, 60));
    } else if (message.type === "error") this.why = `${message.field}: ${message.message}`;
    else if (message.type === "end") {
      this.over = true;
      this.lost = message.dropped;
    }
  }

  // Sends the frames that are due by now.
  send() {
    const { motion } = this, due = Math.floor(((performance.now() - this.began) / 1000) * this.fps) + 1;
    while (this.sent.length < Math.min(due, motion.frames)) this.socket.send(this.layout(this.sent.length));
    this.places.beforeFrame = Math.max(this.sent.length - 1, 0);
    if (this.sent.length === motion.frames && this.timer) {
      clearInterval(this.timer);
      this.timer = 0;
      this.say({ type: "end" });
    }
    this.told();
  }

  layout(frame) {
    const { motion } = this, { joints, dims } = motion;
    const bytes = new ArrayBuffer(HEAD + 4 * joints * dims), view = new DataView(bytes);
    view.setUint8(0, 1);
    view.setUint16(2, 1, true);
    const first = motion.at(frame, this.person, 0) * dims;
    for (let at = 0; at < joints * dims; at++) view.setFloat32(HEAD + 4 * at, motion.raw[first + at], true);
    this.sent.push(performance.now());
    return bytes;
  }

  take(bytes) {
    const { motion, places } = this, view = new DataView(bytes), now = performance.now();
    const flags = view.getUint8(1), count = view.getUint16(2, true), first = view.getUint32(4, true);
    const at = HEAD + (flags & TIMES ? 8 * count : 0), width = motion.joints * motion.dims;
    const values = new Float32Array(bytes.slice(at, at + 4 * count * width));
    const fitted = motion.fitted(motion.upright(values));
    for (let n = 0; n < count; n++) {
      const frame = first + n;
      places.after.set(
        fitted.subarray(n * motion.joints * 3, (n + 1) * motion.joints * 3), motion.at(frame, this.person, 0) * 3);
      if (frame + this.lag < this.sent.length) this.late.push(now - this.sent[frame + this.lag]);
      this.lost += Math.max(frame - this.out, 0);
      this.out = frame + 1;
    }
    this.told();
  }

  // The newest refined frame.
  get frame() {
    return Math.max(this.out - 1, 0);
  }

  // Milliseconds within which so many of the last answers came.
  within(share) {
    const last = this.late.slice(-300).sort((a, b) => a - b);
    return last.length ? last[Math.min(Math.floor(last.length * share), last.length - 1)] : NaN;
  }

  stop(why = "") {
    if (this.stopped) return;
    this.stopped = true;
    clearInterval(this.timer);
    this.socket.close();
    this.ended(why);
  }
}
