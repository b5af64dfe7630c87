// The time of day of a frame's capture, by the clock of the machine that streams, in the time zone of this page.

const two = (number, digits = 2) => String(number).padStart(digits, "0");

/** ms since 1970 → 14:03:22.412, with the day where it is wanted; empty when unknown. */
export function clock(ms, day = false) {
  if (!Number.isFinite(ms)) return "";
  const at = new Date(ms);
  const time = `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}.${two(at.getMilliseconds(), 3)}`;
  return day ? `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())} ${time}` : time;
}
