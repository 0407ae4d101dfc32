// What a writer says in a page that was served without the headers it needs.
export async function run() {
  const { discardSink, isMillraceError, openWriter } = await import("/dist/browser.js");
  try {
    await openWriter({
      sink: discardSink(),
      array: { dtype: "uint8", dimensions: [{ name: "t", size: null, chunk: 1 }] },
    });
    return { isolated: crossOriginIsolated };
  } catch (error) {
    const { code, message, hint } = error;
    return { isolated: crossOriginIsolated, code, message, hint, known: isMillraceError(error) };
  }
}
