// For `node --import`: the package webgpu is not installed.
import { Module, register } from "node:module";

register(
  `data:text/javascript,${encodeURIComponent(`export async function resolve(specifier, context, next) {
    if (specifier !== "webgpu") return next(specifier, context);
    throw Object.assign(new Error("Cannot find package 'webgpu'"), { code: "ERR_MODULE_NOT_FOUND" });
  }`)}`,
);
const original = Module._resolveFilename;
Module._resolveFilename = function (request, ...rest) {
  if (request.split("/")[0] === "webgpu") throw Object.assign(new Error("absent"), { code: "MODULE_NOT_FOUND" });
  return original.call(this, request, ...rest);
};
