// What can be streamed: the sample cine, and a video, picture or uncompressed DICOM file of the reader's own. Each source
// has {name, period in ms, start(take), stop()}; take gets {width, height, data in 8-bit grey} and the time of its capture.
// Nothing leaves the page.

const LARGEST = 2048, STILL_MS = 1000 / 30;
const NATIVE = ["1.2.840.10008.1.2", "1.2.840.10008.1.2.1"]; // little endian, implicit and explicit
const plate = document.createElement("canvas");
const context = plate.getContext("2d", { willReadFrequently: true });

export async function sample() {
  const { width, height, period_ms, name } = await (await fetch("sample.json")).json();
  const bytes = new Uint8Array(await (await fetch("sample.bin")).arrayBuffer());
  return looped(name, cut(bytes, width, height), period_ms);
}

/** The source of a file. Throws an Error whose message says what to do. */
export async function fromFile(file) {
  if (/\.(dcm|dicom)$/i.test(file.name) || await isDicom(file)) return dicom(file);
  if (file.type.startsWith("video/")) return video(file);
  if (file.type.startsWith("image/")) return looped(file.name, [grey(await createImageBitmap(file))], STILL_MS);
  throw new Error(`${file.name} is no video, picture or DICOM file that this browser reads`);
}

const isDicom = async (file) => (await file.slice(128, 132).text()) === "DICM";

/** Frames again and again, at their rate. */
function looped(name, frames, period) {
  let timer = null;
  return {
    name, period,
    start(take) {
      let number = 0;
      timer = setInterval(() => take(frames[number++ % frames.length], performance.now()), period);
    },
    stop: () => clearInterval(timer),
  };
}

function cut(bytes, width, height) {
  const count = Math.floor(bytes.length / (width * height));
  return Array.from({ length: count }, (_, i) => ({ width, height, data: bytes.subarray(i * width * height, (i + 1) * width * height) }));
}

/** A picture in grey (ITU-R BT.601), made smaller where a side is above LARGEST. */
function grey(picture, w = picture.width, h = picture.height) {
  const scale = Math.min(1, LARGEST / Math.max(w, h)), width = Math.round(w * scale), height = Math.round(h * scale);
  if (plate.width !== width || plate.height !== height) Object.assign(plate, { width, height });
  context.drawImage(picture, 0, 0, width, height);
  const { data } = context.getImageData(0, 0, width, height), levels = new Uint8Array(width * height);
  for (let i = 0, at = 0; i < levels.length; i++, at += 4) levels[i] = 0.299 * data[at] + 0.587 * data[at + 1] + 0.114 * data[at + 2] + 0.5;
  return { width, height, data: levels };
}

async function video(file) {
  const player = Object.assign(document.createElement("video"), { src: URL.createObjectURL(file), muted: true, loop: true, playsInline: true });
  await new Promise((ready, failed) => {
    player.onloadeddata = ready;
    player.onerror = () => failed(new Error(`${file.name}: this browser cannot decode the video`));
  });
  let handle = 0;
  return {
    name: file.name, period: STILL_MS,
    start(take) {
      const next = () => {
        take(grey(player, player.videoWidth, player.videoHeight), performance.now());
        handle = player.requestVideoFrameCallback(next);
      };
      handle = player.requestVideoFrameCallback(next);
      player.play();
    },
    stop() {
      player.cancelVideoFrameCallback(handle);
      player.pause();
    },
  };
}

/** dicom-parser is no module: it is read when the first DICOM file is. */
const parser = () => new Promise((done, failed) => {
  const script = Object.assign(document.createElement("script"), { src: "dicomParser.min.js", onload: done, onerror: failed });
  document.head.append(script);
});

async function dicom(file) {
  if (!self.dicomParser) await parser();
  const set = self.dicomParser.parseDicom(new Uint8Array(await file.arrayBuffer()));
  const syntax = set.string("x00020010") ?? NATIVE[0], pixels = set.elements.x7fe00010;
  const refuse = (why) => { throw new Error(`${file.name}: ${why}; convert it with  edgerecon stream ${file.name} --sink copy.mp4`); };
  if (!NATIVE.includes(syntax)) refuse("compressed DICOM is not decoded in the browser");
  if (!pixels) refuse("it holds no picture");
  const height = set.uint16("x00280010"), width = set.uint16("x00280011"), samples = set.uint16("x00280002") ?? 1;
  if (set.uint16("x00280100") !== 8) refuse("only 8-bit pictures are read in the browser");
  const kind = set.string("x00280004") ?? "MONOCHROME2", planar = set.uint16("x00280006") === 1;
  if (!["MONOCHROME1", "MONOCHROME2", "RGB"].includes(kind)) refuse(`colours of the kind ${kind} are not read in the browser`);
  const count = Number(set.intString("x00280008") ?? 1), area = width * height, step = area * samples;
  const frames = Array.from({ length: count }, (_, i) => ({ width, height,
    data: plane(set.byteArray.subarray(pixels.dataOffset + i * step, pixels.dataOffset + (i + 1) * step), area, kind, planar) }));
  return looped(file.name, frames, set.floatString("x00181063") || STILL_MS);
}

function plane(bytes, area, kind, planar) {
  const data = new Uint8Array(area);
  const [pixel, colour] = planar ? [1, area] : [3, 1];
  for (let i = 0; i < area; i++) {
    if (kind === "RGB") data[i] = 0.299 * bytes[i * pixel] + 0.587 * bytes[i * pixel + colour] + 0.114 * bytes[i * pixel + 2 * colour] + 0.5;
    else data[i] = kind === "MONOCHROME1" ? 255 - bytes[i] : bytes[i];
  }
  return data;
}
