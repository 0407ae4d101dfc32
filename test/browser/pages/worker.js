// The same streams in a worker of the page.
import { writeAll } from "./stream.js";

// Set before anything is awaited, or the message comes too early.
self.onmessage = async ({ data }) => {
  try {
    self.postMessage(await writeAll(await import("/dist/browser.js"), data.codecs, data.over));
  } catch (error) {
    // Reaches onerror, which a rejected promise would not.
    setTimeout(() => {
      throw error;
    });
  }
};
