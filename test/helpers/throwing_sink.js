/** A sink as a user might write it: one of its calls throws what is no MillraceError. */
const THROWN = {
  error: () => new Error("the robot arm is offline"),
  type: () => undefined.property,
  full: () => Object.assign(new Error("no room on the tape"), { code: "ENOSPC" }),
  text: () => "the robot arm is offline",
  nothing: () => undefined,
  bare: () => Object.create(null),
};

export default function makeThrowingSink({ where, what, late }) {
  const step = (name) => {
    if (name !== where) return undefined;
    if (late) return Promise.reject(THROWN[what]());
    throw THROWN[what]();
  };
  step("make");
  return {
    kind: "throwing",
    location: "the tape library",
    open: () => step("open"),
    openShard: () => {
      if (where === "noHandle") return undefined;
      step("openShard");
      return { write: () => step("write"), seal: () => step("seal"), abandon: () => step("abandon") };
    },
    putObject: () => step("putObject"),
    hurry: () => step("hurry"),
    close: () => step("close"),
  };
}
