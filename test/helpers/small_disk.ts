import type { FileSystem } from "../../src/sinks/file_system.js";
import { hookedFs, osError } from "./faulty_fs.js";

/** The real file system with room for so many bytes. */
export interface SmallDisk {
  readonly fs: FileSystem;
  readonly hooked: ReturnType<typeof hookedFs>;
  capacity: number;
  /** Bytes that a new file could have. */
  room(): number;
}

/**
 * A file system that gets full: a write that meets the end is short, the next one fails; removing and cutting make
 * room, and writing over what is there takes none.
 * @param pageBytes what a file takes is a multiple of it
 */
export function smallDisk(capacity: number, pageBytes = 1): SmallDisk {
  const hooked = hookedFs();
  const sizes = new Map<string, number>();
  const paged = (bytes: number): number => Math.ceil(bytes / pageBytes) * pageBytes;
  const used = (): number => [...sizes.values()].reduce((sum, bytes) => sum + paged(bytes), 0);
  const fs: FileSystem = {
    ...hooked.fs,
    async open(path, flags) {
      const file = await hooked.fs.open(path, flags);
      if (flags.startsWith("w")) sizes.set(path, 0);
      return {
        ...file,
        async writev(views, position) {
          const size = sizes.get(path) ?? 0;
          const end = paged(size) + Math.max(0, disk.room());
          const room = end - (end % pageBytes) - position;
          if (room <= 0) throw osError("ENOSPC");
          let left = room;
          const fitting = views.map((view) => {
            const part = view.subarray(0, Math.min(left, view.byteLength));
            left -= part.byteLength;
            return part;
          });
          // Before the write: others that run beside it must not take the same room.
          sizes.set(path, Math.max(size, position + room - left));
          return await file.writev(fitting, position);
        },
        async truncate(bytes) {
          await file.truncate(bytes);
          sizes.set(path, bytes);
        },
      };
    },
    async rename(from, to) {
      await hooked.fs.rename(from, to);
      sizes.set(to, sizes.get(from) ?? 0);
      sizes.delete(from);
    },
    async unlink(path) {
      await hooked.fs.unlink(path);
      sizes.delete(path);
    },
  };
  const disk: SmallDisk = { fs, hooked, capacity, room: () => disk.capacity - used() };
  return disk;
}
