// Arrays out of an .npz of the service, which packs nothing.
const KINDS = { "<f8": Float64Array, "<f4": Float32Array, "|u1": Uint8Array, "<i8": BigInt64Array };
const END = 0x06054b50;

// Arrays by name: {values, shape}.
export function arrays(buffer) {
  const view = new DataView(buffer);
  let end = buffer.byteLength - 22;
  while (end >= 0 && view.getUint32(end, true) !== END) end--;
  const found = {};
  let at = view.getUint32(end + 16, true);
  for (let left = view.getUint16(end + 10, true); left > 0; left--) {
    const size = view.getUint32(at + 24, true), local = view.getUint32(at + 42, true);
    const [name, extra, comment] = [28, 30, 32].map((place) => view.getUint16(at + place, true));
    const called = text(buffer, at + 46, name).replace(/\.npy$/, "");
    const first = local + 30 + view.getUint16(local + 26, true) + view.getUint16(local + 28, true);
    found[called] = array(buffer.slice(first, first + size));
    at += 46 + name + extra + comment;
  }
  return found;
}

function array(npy) {
  const view = new DataView(npy), long = view.getUint8(6) > 1;
  const length = long ? view.getUint32(8, true) : view.getUint16(8, true);
  const first = (long ? 12 : 10) + length;
  const head = text(npy, first - length, length);
  const Kind = KINDS[/'descr': '([^']+)'/.exec(head)[1]];
  const shape = /'shape': \(([^)]*)\)/.exec(head)[1].split(",").filter((one) => one.trim()).map(Number);
  const values = new Kind(npy.slice(first));
  return { values: Kind === BigInt64Array ? Float64Array.from(values, Number) : values, shape };
}

const text = (buffer, at, length) => new TextDecoder().decode(new Uint8Array(buffer, at, length));

// The JSON that is in an array of bytes.
export const json = ({ values }) => JSON.parse(new TextDecoder().decode(values));
