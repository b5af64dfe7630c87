// One stream, large: wires its feed to the picture, the cine loop, the chart and the panel.

import { say } from "./announce.js";
import { clearCalipers } from "./calipers.js";
import { plot, rate, recentLatency, startChart } from "./chart.js";
import { cine, keep, startCine } from "./cine.js";
import { $, setText } from "./dom.js";
import { Feed } from "./feed.js";
import { followFilters, showFilters } from "./filters.js";
import { describe, showCounters, showLatency, showPixel, showRate } from "./panel.js";
import { clearPicture, setReconstructs, showPicture } from "./stage.js";
import { followStrength, steer } from "./strength.js";

/** The feed of the stream that is shown. */
export function openSingle(name) {
  let pending = null;
  clearPicture();
  clearCalipers();
  startCine(showPicture);
  const draw = () => {
    if (pending && !cine.frozen) showPicture(pending);
    pending = null;
  };
  const feed = new Feed(name, {
    info(info) {
      followStrength(info.strength);
      showFilters(info.sliders, feed);
      describe(info);
      setReconstructs(info.model !== "none");
      startChart(info.deadline_ms);
    },
    frame(picture) {
      showPixel(picture.header.spacing_mm);
      if (cine.frozen) return;
      keep(picture);
      if (!pending) requestAnimationFrame(draw);
      pending = picture;
    },
    figures(counters, points) {
      plot(points);
      if (points.length) showLatency(recentLatency());
      if (counters) {
        showCounters(counters);
        followStrength(counters.strength);
        followFilters(counters.filters);
        showRate(document.body.dataset.state === "stalled" ? 0 : rate());
      }
    },
    state(state, text, notice, changed) {
      document.body.dataset.state = state;
      setText($("state-text"), text);
      setText($("notice-text"), notice);
      if (state === "stalled" || state === "lost") showRate(0);
      if (changed) say(notice);
    },
  }, () => (cine.frozen ? "figures" : "frame"));
  steer(feed);
  return feed;
}
