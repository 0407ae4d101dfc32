export interface ChromiumPackage {
  readonly folder: string;
  readonly version: string;
  readonly require: NodeJS.Require;
}

export function chromiumPackage(): ChromiumPackage | undefined;
export function cachedFolder(name: string, fill: (folder: string) => Promise<void>): Promise<string>;
export function unpackTar(found: ChromiumPackage, file: string, folder: string): Promise<void>;
export function swiftshaderEnv(): Promise<{ VK_ICD_FILENAMES: string; LD_LIBRARY_PATH: string } | undefined>;
