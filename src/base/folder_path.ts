import { MillraceError } from "./errors.js";

/** Why a text is taken for the path of a folder by mistake, and what works instead; undefined: it is one. */
function misreading(text: string): { readonly why: string; readonly hint: string } | undefined {
  const folder = 'For a folder of that name put "./" in front.';
  // One letter before the colon is a Windows drive. One slash is enough: path.join makes s3:/b of s3://b.
  const scheme = /^([a-z][a-z0-9+.-]+):[/\\]/i.exec(text)?.[1].toLowerCase();
  if (scheme === "s3") {
    return { why: "it is a place on S3", hint: `Use s3Sink({ bucket, prefix }), or s3://bucket/prefix. ${folder}` };
  }
  if (scheme === "file") return { why: "it is a URL", hint: 'Give the path itself, or new URL("file:///…").' };
  if (scheme !== undefined) {
    return { why: `it is a URL with ${scheme}:`, hint: `Stores are folders, or places on S3. ${folder}` };
  }
  if (/^~([^/\\]*[/\\]|$)/.test(text)) {
    return { why: "only a shell knows what ~ stands for", hint: `Use os.homedir(), or $HOME. ${folder}` };
  }
  const isWindows = typeof process === "object" && process.platform === "win32";
  if (!isWindows && /^[a-z]:[/\\]/i.test(text)) {
    return { why: "drives are there on Windows only", hint: folder };
  }
  return undefined;
}

/**
 * Refuses what would become a folder named "s3:" or "~" in the current directory.
 * @throws MillraceError INVALID_OPTION
 */
export function refuseMisreadPath(option: string, path: string): void {
  const misread = misreading(path);
  if (misread === undefined) return;
  throw new MillraceError("INVALID_OPTION", `${JSON.stringify(path)} is no path of a folder: ${misread.why}.`, {
    context: { option, given: path },
    hint: misread.hint,
  });
}

/** What to do about a folder that is not there, if its path was no path. */
export function misreadHint(path: string): string | undefined {
  return misreading(path)?.hint;
}

/**
 * The folder that a file: URL names.
 * @param toPath Node's fileURLToPath, which this file must not load itself: web pages load it too.
 * @throws MillraceError INVALID_OPTION
 */
export function folderOfUrl(option: string, url: string | URL, toPath: (url: string | URL) => string): string {
  try {
    return toPath(url);
  } catch (cause) {
    throw new MillraceError("INVALID_OPTION", `${String(url)} names no folder of this machine: ${String(cause)}.`, {
      context: { option, given: String(url) },
      hint: "A file: URL has three slashes, no host, and no %2F.",
      cause,
    });
  }
}
