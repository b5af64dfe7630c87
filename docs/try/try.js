// The page's beginning: isolated where the browser can, then the viewer as it is.

if (!self.crossOriginIsolated && navigator.serviceWorker && !sessionStorage.getItem("isolated")) {
  sessionStorage.setItem("isolated", "tried");
  await navigator.serviceWorker.register("isolate.js").then(() => navigator.serviceWorker.ready, () => null);
  if (navigator.serviceWorker.controller) location.reload();
  else navigator.serviceWorker.addEventListener("controllerchange", () => location.reload(), { once: true });
}
await import("./controls.js");
await import("./viewer.js");
