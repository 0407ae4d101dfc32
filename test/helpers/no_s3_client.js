// For `node --import`: the package @aws-sdk/client-s3 is not installed. Worker threads of the process are told too.
import { Module, register } from "node:module";

register(
  `data:text/javascript,${encodeURIComponent(`export async function resolve(specifier, context, next) {
    if (specifier !== "@aws-sdk/client-s3") return next(specifier, context);
    throw Object.assign(new Error("Cannot find package '@aws-sdk/client-s3'"), { code: "ERR_MODULE_NOT_FOUND" });
  }`)}`,
);
const original = Module._resolveFilename;
Module._resolveFilename = function (request, ...rest) {
  if (request.startsWith("@aws-sdk/client-s3")) throw Object.assign(new Error("absent"), { code: "MODULE_NOT_FOUND" });
  return original.call(this, request, ...rest);
};
