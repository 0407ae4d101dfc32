import { S3Store } from "../../../src/store/s3_store.js";
import { FakeS3 } from "../../helpers/fake_s3.js";

/** A store on a fake bucket that holds these objects. `opened` counts how often it wanted a client. */
export function fakeStore(objects: ReadonlyMap<string, Uint8Array>) {
  const fake = new FakeS3();
  for (const [key, bytes] of objects) fake.objects.set(key, { bytes, metadata: {} });
  const about = { opened: 0 };
  const store = new S3Store(fake.location, async () => {
    about.opened++;
    return fake;
  });
  return { store, fake, about };
}
