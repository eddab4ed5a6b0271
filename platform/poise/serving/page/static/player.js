// The clock: which frame it is, playing or not.
export class Player {
  constructor(changed) {
    this.changed = changed;
    this.motion = null;
    this.frame = 0;
    this.speed = 1;
    this.loop = true;
    this.playing = false;
  }

  load(motion) {
    this.motion = motion;
    this.go(Math.min(this.frame, motion.frames - 1));
  }

  go(frame) {
    if (!this.motion) return;
    this.frame = Math.min(Math.max(Math.round(frame), 0), this.motion.frames - 1);
    this.second = this.motion.times[this.frame];
    this.changed();
  }

  step(by) {
    this.pause();
    this.go(this.frame + by);
  }

  toggle() {
    if (this.playing) this.pause();
    else this.play();
  }

  play() {
    if (!this.motion || this.playing) return;
    if (this.frame === this.motion.frames - 1) this.go(0);
    this.playing = true;
    this.last = performance.now();
    this.changed();
    requestAnimationFrame((now) => this.tick(now));
  }

  pause() {
    if (!this.playing) return;
    this.playing = false;
    this.changed();
  }

  tick(now) {
    if (!this.playing) return;
    const { times } = this.motion, end = times[times.length - 1];
    this.second += (Math.max(now - this.last, 0) / 1000) * this.speed;
    this.last = now;
    if (this.second > end) {
      if (!this.loop) {
        this.playing = false;
        this.go(times.length - 1);
        return;
      }
      this.second = times[0] + ((this.second - times[0]) % (end - times[0] || 1));
    }
    const frame = place(times, this.second);
    if (frame !== this.frame) {
      this.frame = frame;
      this.changed();
    }
    requestAnimationFrame((later) => this.tick(later));
  }
}

// The last of the rising times that is not later.
function place(times, second) {
  let low = 0, high = times.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (times[middle] <= second) low = middle;
    else high = middle - 1;
  }
  return low;
}
