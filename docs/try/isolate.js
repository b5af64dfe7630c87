// A service worker that adds the two headers which WebAssembly threads need, where the server of this page, a plain
// static one, does not send them. It answers nothing itself.

const HEADERS = { "Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Embedder-Policy": "require-corp" };

self.addEventListener("install", () => self.skipWaiting());
self.addEventListener("activate", (event) => event.waitUntil(self.clients.claim()));
self.addEventListener("fetch", (event) => {
  if (new URL(event.request.url).origin !== self.location.origin) return;
  event.respondWith(fetch(event.request).then(({ body, status, statusText, headers }) => {
    const isolated = new Headers(headers);
    for (const [name, value] of Object.entries(HEADERS)) isolated.set(name, value);
    return new Response([101, 204, 205, 304].includes(status) ? null : body, { status, statusText, headers: isolated });
  }));
});
