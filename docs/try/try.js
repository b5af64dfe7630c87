// The page's beginning: what is streamed, then the viewer as it is.

await import("./controls.js");
await import("./viewer.js");
