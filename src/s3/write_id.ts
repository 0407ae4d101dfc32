/**
 * Every object of a stream carries the stream's write id in this user metadata; that tells a failed answer from a
 * failed write.
 */
export const WRITE_ID_NAME = "millrace-write-id";
