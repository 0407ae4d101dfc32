/** What of WebGPU depends on where it runs: Node or a web page. */
export interface GpuHost {
  /**
   * The entry to WebGPU, the same object each time on one thread.
   * @throws MillraceError BACKEND_UNAVAILABLE where there is none
   */
  gpu(): Promise<GPU>;
  /**
   * False: no GPU can be there, and asking for one would only make drivers print why. For streams that would take one
   * and do not insist. Absent: asking costs nothing.
   */
  mayHaveGpu?(): Promise<boolean>;
  /** The text of `kernels/<name>.wgsl`. */
  kernelText(name: string): Promise<string>;
  /**
   * EXIT_HANDSHAKE of a device on the process's own thread: calls `end` when the process leaves, until the function
   * that it returns is called. Left out where nothing is told of leaving.
   */
  atExit?(end: () => void): () => void;
}
